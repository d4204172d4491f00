"""Check commands without GAUGEPOST_REDIS_URL: only `up` and `demo` start a Redis."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest
import requests

from gaugepost.connection import NOT_SET
from support.redis_server import free_port
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Cli

JOB = {"kind": "record", "region": "eu", "configuration": "map", "record": {"Email": "joe@example.com"}}

HOLD_OPEN = """
import sys
from pathlib import Path
from gaugepost_ops import embedded_redis as embedded
print(embedded.url(Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def embedded_in(bare_cli: Cli, request: pytest.FixtureRequest) -> Iterator[Path]:
    """Run an embedded Redis as `up` does, or in the folder below as `demo` does."""
    folder = bare_cli.folder / ".gaugepost"
    folder.mkdir(mode=0o700)
    folder /= request.param
    with subprocess.Popen(
        [sys.executable, "-c", HOLD_OPEN, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("redis://")
        yield folder
        process.communicate(timeout=20)


@contextmanager
def up(cli: Cli) -> Iterator[subprocess.Popen[str]]:
    """Run all processes of one region, with their logs in a file."""
    cli.environment["GAUGEPOST_REGIONS"] = "eu"
    port = free_port()
    with (cli.folder / "up.log").open("w") as log:
        process = cli.start("up", "--port", str(port), stdout=log, stderr=log)
    wait_until(lambda: f"Flower opens at http://127.0.0.1:{port}/ (eu)" in (cli.folder / "up.log").read_text())
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=60)


@pytest.mark.parametrize(
    "call",
    [
        ("jobs",),
        ("status",),
        ("enqueue", "jobs.jsonl"),
        ("check",),
        ("health", "worker"),
        ("health", "region"),
        ("move", "eu", "--to-file", "jobs.jsonl"),
        ("worker", "--region", "eu"),
        ("beat",),
        ("exporter",),
        ("serve",),
        ("keys", "list"),
        ("webhooks", "list"),
        ("flower",),
    ],
    ids=" ".join,
)
def test_command_without_redis_url_is_refused(bare_cli: Cli, call: tuple[str, ...]) -> None:
    bare_cli.write("jobs.jsonl", JOB)
    bare_cli.environment["GAUGEPOST_LOG_FORMAT"] = "text"
    done = bare_cli(*call)
    assert (done.code, done.out) == (2, "")
    assert done.err == f"{NOT_SET}\n"
    assert [path.name for path in bare_cli.folder.iterdir()] == ["jobs.jsonl"]


@pytest.mark.parametrize("embedded_in", ["", "demo"], indirect=True)
def test_commands_find_the_embedded_redis_that_runs_here(bare_cli: Cli, embedded_in: Path) -> None:
    printed = f"using the embedded Redis of {embedded_in}\n"
    accepted = bare_cli("enqueue", bare_cli.write("jobs.jsonl", JOB))
    assert (accepted.code, accepted.err) == (0, printed)
    listed = bare_cli("jobs", "--json")
    assert ([row["id"] for row in listed.rows], listed.err) == ([accepted.rows[0]["id"]], printed)


@pytest.mark.parametrize("embedded_in", [""], indirect=True)
@pytest.mark.usefixtures("embedded_in")
def test_worker_does_not_look_for_an_embedded_redis(bare_cli: Cli) -> None:
    bare_cli.environment["GAUGEPOST_LOG_FORMAT"] = "text"
    done = bare_cli("worker", "--region", "eu")
    assert (done.code, done.err) == (2, f"{NOT_SET}\n")


@pytest.mark.parametrize("embedded_in", ["", "demo"], indirect=True)
def test_gateway_finds_the_embedded_redis_and_leaves_it_at_sigterm(bare_cli: Cli, embedded_in: Path) -> None:
    created, port = bare_cli("keys", "create", "crm"), free_port()
    key = {"Authorization": f"Bearer {created.out.strip()}"}
    with (bare_cli.folder / "serve.log").open("w") as log:
        process = bare_cli.start("serve", "--port", str(port), stdout=log, stderr=log)
    try:
        wait_until(lambda: is_ready(port), what=(bare_cli.folder / "serve.log").read_text)
        answer = requests.post(f"http://127.0.0.1:{port}/v1/jobs", json=JOB, headers=key, timeout=30)
        assert answer.status_code == 201
    finally:
        process.terminate()
        assert process.wait(timeout=60) == 0
    logged = (bare_cli.folder / "serve.log").read_text()
    assert "using the embedded Redis" in logged
    assert str(embedded_in) in logged
    assert [row["id"] for row in bare_cli("jobs", "--json").rows] == [answer.json()["id"]]


def is_ready(port: int) -> bool:
    with suppress(requests.ConnectionError):
        return requests.get(f"http://127.0.0.1:{port}/readyz", timeout=30).ok
    return False


def test_up_starts_the_embedded_redis_for_its_parts(bare_cli: Cli) -> None:
    with up(bare_cli) as process:
        wait_until(lambda: bare_cli("health", "worker").code == 0, what="the worker that `up` started is well")
        assert bare_cli("jobs", "--json").err == f"using the embedded Redis of {bare_cli.folder / '.gaugepost'}\n"
        process.terminate()
        assert process.wait(timeout=60) == 0
    gone = bare_cli("jobs")
    assert (gone.code, gone.err) == (2, f"{NOT_SET}\n")


def test_up_killed_outright_leaves_no_redis_behind(bare_cli: Cli) -> None:
    noted = bare_cli.folder / ".gaugepost" / "redis.json"
    with up(bare_cli) as process:
        wait_until(lambda: bare_cli("health", "worker").code == 0, what="the worker that `up` started is well")
        assert noted.exists()
        process.kill()
    wait_until(lambda: not noted.exists(), what="the last part has stopped Redis")
