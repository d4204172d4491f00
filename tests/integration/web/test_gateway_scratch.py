"""Where the gateway puts files that arrive: a folder of its own, which others delete once it is dead; a full disk."""

from __future__ import annotations

import resource
import socket
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from gaugepost.ledger.users import Role
from support.console import SAME, Person, signed_in
from support.gateway import GatewayProcess, job
from support.redis_server import RedisServer
from support.wait import wait_until

FORM = {"region": "eu", "family": "contact"}
PART = 'Content-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder, in which gateways of this test put their files."""
    found = tmp_path / "scratch"
    found.mkdir()
    monkeypatch.setenv("TMPDIR", str(found))
    return found


def begin(gateway: GatewayProcess, key: str) -> socket.socket:
    """Send the first megabyte of a file, and no end."""
    connection = socket.create_connection(("127.0.0.1", gateway.port), timeout=30)
    head = f"POST /v1/files HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\nContent-Length: 9000000\r\n"
    kind = "Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n"
    connection.sendall(f"{head}{kind}{PART}{'a' * 1_000_000}".encode())
    return connection


def parts(folder: Path) -> list[Path]:
    return list(folder.rglob("*.part"))


def test_files_of_a_killed_gateway_are_deleted_by_the_next_one(folder: Path, server: RedisServer) -> None:
    (folder / "gaugepost-gateway-file").write_text("no folder")
    with ExitStack() as stack:
        living = stack.enter_context(GatewayProcess(folder.parent, server.url))
        key = living.key("scratch")
        stack.enter_context(begin(living, key))
        wait_until(lambda: len(parts(folder)) == 1)
        with GatewayProcess(folder.parent, server.url) as killed, begin(killed, key):
            wait_until(lambda: len(parts(folder)) == 2)
            assert killed.process is not None
            killed.process.kill()  # before its client goes away: then it would delete the file itself
            killed.process.wait()
        [mine] = [one for one in folder.iterdir() if one in _open_folders(living)]
        assert len(parts(folder)) == 2
        with GatewayProcess(folder.parent, server.url) as third:
            assert [mine in one.parents for one in parts(folder)] == [True]
            assert third.process is not None
            third.terminate()
            assert third.process.wait(30) == 0
        assert [one.name for one in folder.iterdir() if one != mine] == ["gaugepost-gateway-file"]


def _open_folders(gateway: GatewayProcess) -> set[Path]:
    assert gateway.process is not None
    found = set()
    for one in Path(f"/proc/{gateway.process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # it is closed meanwhile
            found.add(one.readlink())
    return found


def test_folder_that_is_deleted_is_made_again(folder: Path, server: RedisServer) -> None:
    with GatewayProcess(folder.parent, server.url) as gateway:
        key = gateway.key("again")
        [mine] = folder.iterdir()
        mine.rename(folder.parent / "away")
        wait_until(lambda: list(folder.iterdir()))
        assert send(gateway, key).status_code == 200


def send(gateway: GatewayProcess, key: str, size: int = 10, path: str = "/v1/files") -> Any:
    content = b"Email\n" + b"a@example.net\n" * (size // 14 + 1)
    form = FORM | {"dry_run": "true"} if path == "/v1/files" else {}
    scheme = "api_key" if "v4.1" in path else "Bearer"
    return gateway.call(
        "POST", path, data=form, files={"file": ("a.csv", content)}, headers={"Authorization": f"{scheme} {key}"}
    )


def test_full_disk_is_503_until_there_is_room(folder: Path, server: RedisServer) -> None:
    with GatewayProcess(folder.parent, server.url) as gateway:
        key = gateway.key("full")
        assert gateway.process is not None
        resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
        for path in ("/v1/files", "/customergauge/eu/v4.1/file/contact.json"):
            answer = send(gateway, key, 1_900_000, path)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30"), answer.text
            assert "disk of this gateway is full" in answer.text
        assert gateway.post(key, job()).status_code == 201
        assert parts(folder) == []
        assert "Traceback" not in gateway.log()
        resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert send(gateway, key, 1_900_000).status_code == 200


def plan(person: Person, size: int) -> Any:
    """Send a file to the console, which keeps it until it is confirmed."""
    files = {"file": ("people.csv", b"Email\n" + b"a@example.net\n" * (size // 14))}
    return person.http.post(f"{person.url}/uploads/new", data=FORM, files=files, headers=SAME, timeout=60)


def test_full_disk_is_said_at_the_console(folder: Path, server: RedisServer) -> None:
    with GatewayProcess(folder.parent, server.url) as gateway:
        person = signed_in(gateway, "disk", Role.OPERATOR)
        assert gateway.process is not None
        resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
        answer = plan(person, 1_900_000)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30")
        assert "the disk of this gateway is full" in answer.text
        assert list(folder.rglob("*.csv")) == parts(folder) == []
        assert "Traceback" not in gateway.log()


def test_unconfirmed_file_of_a_killed_gateway_is_deleted_at_the_next_start(folder: Path, server: RedisServer) -> None:
    with GatewayProcess(folder.parent, server.url) as killed:
        assert plan(signed_in(killed, "killed", Role.OPERATOR), 100).status_code == 200
    assert len(list(folder.rglob("people.csv"))) == 1
    with GatewayProcess(folder.parent, server.url) as ended:
        assert list(folder.rglob("people.csv")) == []
        assert plan(signed_in(ended, "killed", Role.OPERATOR), 100).status_code == 200
        assert ended.process is not None
        ended.terminate()
        assert ended.process.wait(30) == 0
    assert list(folder.rglob("people.csv")) == []
