"""Move a region, or restore it from a backup, in the middle of an operation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gaugepost import Producer, Region, Settings
from gaugepost.ledger import Settlement
from gaugepost.ledger.edits import Change, Edits
from gaugepost.ledger.job_filter import JobFilter
from gaugepost.ledger.operations import Action
from gaugepost.states import JobState
from gaugepost.transitions import Dead, Decision
from gaugepost.verdict import Verdict
from support.factories import record
from support.moves import run, steps, url_file
from support.redis_server import RedisServer
from support.stack import Stack
from support.wait import wait_until
from support.worker_ledger import worker_ledger

FINE: dict[str, Any] = {"configuration": "multi-object"}


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with Stack(tmp_path) as stack:
        yield stack


@pytest.fixture
def other(tmp_path: Path) -> Iterator[RedisServer]:
    folder = tmp_path / "other"
    folder.mkdir()
    server = RedisServer(folder)
    try:
        yield server
    finally:
        server.stop()


def replaying(stack: Stack) -> tuple[list[str], str]:
    """Start to replay 30 dead jobs with changes; 10 of them are replayed. Return the jobs and the operation."""
    jobs = stack.producer.enqueue_many(record(**FINE, source=f"s{n}") for n in range(30))
    ledger = worker_ledger(stack.producer)
    dead = [Settlement(one, Decision(Dead(Verdict.MISSING_FIELD))) for one in ledger.claim("a test", "1", 30, 100).jobs]
    ledger.settle(dead)
    edits = Edits((Change("labels", None, "moved"),))
    started = ledger.operations.start(Action.REPLAY, JobFilter(state=JobState.DEAD), by="ann", rate=10, edits=edits)
    wait_until(lambda: bool(ledger.operation_runner.run("a test")) or ledger.operations.list()[0].done == 10)
    ledger.leave("a test")
    return [job.id for job in jobs], started.id


def is_finished(producer: Producer, operation: str) -> bool:
    found = producer.ledger(Region.EU).operations.show(operation)
    return found is not None and (str(found.state), found.done) == ("finished", 30)


def test_operation_that_is_moved_halfway_replays_each_job_once(stack: Stack, other: RedisServer) -> None:
    ids, operation = replaying(stack)
    other.start()
    done = stack.cli("move", "eu", "--to-file", url_file(stack, other))
    assert done.returncode == 0, done.stderr
    stack.variables["GAUGEPOST_REDIS_URL"] = other.url
    stack.worker()
    stack.beat()
    with Producer(Settings.given(redis_url=other.url)) as producer:
        wait_until(lambda: is_finished(producer, operation), 60)
        wait_until(lambda: producer.ledger(Region.EU).summary()["delivered"] == 30, 60)
        views = [producer.job(one) for one in ids]
    assert [[one["event"] for one in view.timeline()].count("replayed") for view in views] == [1] * 30
    assert {tuple(view.job["labels"]) for view in views} == {("moved",)}
    assert stack.keys() == dict.fromkeys(ids, 1)


@pytest.mark.needs("redis-server", "redis-cli")
def test_operation_restored_halfway_sends_nothing_delivered_since_again(stack: Stack, other: RedisServer) -> None:
    ids, operation = replaying(stack)
    backup = str(stack.folder / "ledger.rdb")
    run(steps("backup"), OLD=str(stack.redis.port), BACKUP=backup)
    stack.worker()
    stack.beat()
    wait_until(lambda: stack.counts()["delivered"] > 15, 60)
    for process in stack.processes:
        process.kill()
    stack.redis.stop()
    since = list(stack.keys())

    run(steps("restore"), NEW=str(other.port), DATA=str(other.folder), BACKUP=backup)
    other.start()
    stack.variables["GAUGEPOST_REDIS_URL"] = other.url
    assert stack.cli("hold", "eu", "--reason", "restored").returncode == 0
    stack.worker()
    stack.beat()
    with Producer(Settings.given(redis_url=other.url)) as producer:
        wait_until(lambda: is_finished(producer, operation), 60)
        assert stack.cli("cancel", *since).returncode == 0
        assert stack.cli("resume", "eu").returncode == 0
        summary = producer.ledger(Region.EU).summary
        wait_until(lambda: (summary()["delivered"], summary()["cancelled"]) == (30 - len(since), len(since)), 60)
    assert stack.keys() == dict.fromkeys(ids, 1)
