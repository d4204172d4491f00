"""A real Redis, and the command line as a separate process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import pytest

from gaugepost import CloseLoop, Producer, Record, Region, Settings
from gaugepost.ledger import Settlement
from gaugepost.transitions import Attempt, Dead, Decision, Delivered, Held, HoldSpec, Parked
from gaugepost.verdict import Verdict
from support.fork_server import call
from support.stack import RedisServer
from support.worker_ledger import worker_ledger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gaugepost.transitions import Transition


@dataclass
class Done:
    """The result of a call."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass
class Cli:
    """Calls `gaugepost` in a folder, with its own environment."""

    folder: Path
    settings: dict[str, str]
    environment: dict[str, str] = field(default_factory=dict)
    new_process: bool = False
    """Whether each call starts a new Python, as a shell does; otherwise a server forks one."""

    @property
    def env(self) -> dict[str, str]:
        # pytest-xdist sets COLUMNS and LINES for its workers, which would override the size of a test's terminal.
        outside = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}}
        inherited = {name: value for name, value in outside.items() if not name.startswith("GAUGEPOST_")}
        return inherited | {"PYTHONUNBUFFERED": "1", "TERM": "xterm"} | self.settings | self.environment

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        return subprocess.Popen(
            [sys.executable, "-m", "gaugepost_ops", *arguments],
            cwd=self.folder,
            env=self.env,
            text=True,
            **options,
        )

    def __call__(self, *arguments: str, stdin: str = "") -> Done:
        if not self.new_process:
            done = call(*arguments, env=self.env, folder=self.folder, given=stdin)
            return Done(done.returncode, done.stdout, done.stderr)
        with self.start(*arguments) as process:
            out, err = process.communicate(stdin, timeout=60)
        return Done(process.returncode, out, err)

    def write(self, name: str, *jobs: dict[str, Any] | str) -> str:
        lines = [job if isinstance(job, str) else json.dumps(job) for job in jobs]
        (self.folder / name).write_text("".join(f"{line}\n" for line in lines))
        return name


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis")).start()
    yield server
    server.stop()


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    with redis_server.client() as client:
        client.flushall()
    return redis_server.url


@pytest.fixture
def cli(redis_url: str, tmp_path: Path) -> Cli:
    return Cli(tmp_path, {"GAUGEPOST_REDIS_URL": redis_url})


@pytest.fixture
def bare_cli(tmp_path: Path) -> Cli:
    """Call `gaugepost` in an empty folder, without settings."""
    folder = tmp_path / "empty"
    folder.mkdir()
    return Cli(folder, {})


@pytest.fixture
def producer(redis_url: str) -> Iterator[Producer]:
    with Producer(Settings.load(redis_url=redis_url)) as producer:
        yield producer


_turns = count()


class EuWorker:
    """Does what a worker of eu does, one step at a time, on the real ledger: claim the next job and settle it."""

    def __init__(self, producer: Producer) -> None:
        self.producer = producer
        self.ledger = worker_ledger(producer)

    def put(self, **more: Any) -> str:
        fields = {"configuration": "map", "record": {"Email": "secret@example.com"}} | more
        job = Record(region=Region.EU, **fields)
        return self.producer.enqueue(job).id

    def settle(self, transition: Transition, verdict: Verdict, message: str = "") -> str:
        claimed = self.ledger.claim("eu-worker", f"turn{next(_turns)}", 1).jobs[0]
        attempt = Attempt(claimed.history.last_n + 1, 1_790_000_000_000, 12, 200, verdict, message)
        assert self.ledger.settle([Settlement(claimed, Decision(transition), (attempt,))]) == [True]
        return claimed.id

    def deliver(self, result: dict[str, Any] | None = None) -> str:
        return self.settle(Delivered(result or {}), Verdict.DELIVERED)

    def bury(self) -> str:
        return self.settle(Dead(Verdict.MISSING_FIELD), Verdict.MISSING_FIELD, "The record.Email field is required.")

    def park(self) -> str:
        return self.settle(Parked(300_000, "no_campaign"), Verdict.NO_CAMPAIGN, "Could not match any campaign filter.")

    def claim_all(self) -> Iterator[list[Any]]:
        """Yield the ready jobs, up to 100 at a time, until there are none."""
        while jobs := self.ledger.claim("ops", f"ops{next(_turns)}", 100).jobs:
            yield jobs

    def end_all(self, to: Transition, verdict: Verdict, *fields: str, hold: HoldSpec | None = None) -> list[str]:
        """Settle all ready jobs like this; their answer has errors for these fields."""
        ended = []
        for jobs in self.claim_all():
            errors = {name: ["is wrong"] for name in fields}
            attempt = Attempt(1, 1_790_000_000_000, 12, 422, verdict, "wrong", field_errors=errors)
            self.ledger.settle([Settlement(job, Decision(to, hold=hold), (attempt,)) for job in jobs])
            ended += [job.id for job in jobs]
        return ended

    def bury_all(self, *fields: str) -> list[str]:
        return self.end_all(Dead(Verdict.MISSING_FIELD), Verdict.MISSING_FIELD, *fields)

    def hold_all(self, mapping: str = "map") -> None:
        """Settle all ready jobs as refused for an unknown mapping, which holds that mapping."""
        scope, reason = f"configuration:{mapping}", "unknown_mapping"
        hold = HoldSpec(scope, reason, Verdict.UNKNOWN_MAPPING, (300_000,))
        self.end_all(Held(scope, reason), Verdict.UNKNOWN_MAPPING, hold=hold)

    @contextmanager
    def operating(self) -> Iterator[None]:
        """Carry out operations in the background, as a worker does at its ticks."""
        stop = Event()

        def tick() -> None:
            while not stop.wait(0.05):
                self.ledger.alive("eu-worker", 0.0, "", {})
                self.ledger.operation_runner.run("eu-worker")

        self.ledger.alive("eu-worker", 0.0, "", {})
        thread = Thread(target=tick)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def case(self, number: str = "1", **more: Any) -> str:
        """Enqueue a status change of a case, and return its id."""
        change = CloseLoop(region=Region.EU, number_customergauge=number, status="open", **more)
        return self.producer.enqueue(change).id


@pytest.fixture
def eu_worker(producer: Producer) -> EuWorker:
    return EuWorker(producer)


@pytest.fixture
def operating(producer: Producer) -> Iterator[EuWorker]:
    """Return a worker that carries out operations in the background."""
    worker = EuWorker(producer)
    with worker.operating():
        yield worker
