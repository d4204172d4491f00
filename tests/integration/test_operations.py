"""Kill the processes that carry out an operation, and run a worker of an older version beside them."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gaugepost import Region
from gaugepost.jobs import JobBase
from gaugepost.ledger import Settlement
from gaugepost.ledger.job_filter import JobFilter
from gaugepost.ledger.operations import Action, Operation, Operations, OperationState
from gaugepost.states import JobState
from gaugepost.transitions import Dead, Decision
from gaugepost.verdict import Verdict
from support.factories import case, record
from support.old_versions import PREVIOUS, Old
from support.stack import Stack, kill
from support.wait import wait_until
from support.worker_ledger import worker_ledger

SHORT: dict[str, Any] = {"connect_timeout": 1, "read_timeout": 4, "lease": 6}
FINE: dict[str, Any] = {"configuration": "multi-object"}
DEAD = JobFilter(state=JobState.DEAD)
PATIENT = 120
"""Seconds to wait at most: on a busy machine each of the processes may need a minute to start."""


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with Stack(tmp_path, **SHORT) as stack:
        yield stack


def bury(stack: Stack, jobs: list[JobBase]) -> list[str]:
    """Enqueue jobs, and settle them as dead."""
    ids = [job.id for job in stack.producer.enqueue_many(jobs)]
    ledger, calls = worker_ledger(stack.producer), itertools.count()
    while claimed := ledger.claim("a test", f"call-{next(calls)}", 100, 1_000).jobs:
        ledger.settle([Settlement(one, Decision(Dead(Verdict.MISSING_FIELD))) for one in claimed])
    assert stack.counts()["dead"] == len(jobs)
    return ids


def operations(stack: Stack) -> Operations:
    return stack.producer.ledger(Region.EU).operations


def show(stack: Stack, operation: Operation) -> Operation:
    found = operations(stack).show(operation.id)
    assert found is not None
    return found


def reach(stack: Stack, operation: Operation, progress: int) -> None:
    """Wait until an operation has changed this many jobs."""
    wait_until(lambda: show(stack, operation).progress >= progress, PATIENT, what=lambda: show(stack, operation))


def finish(stack: Stack, operation: Operation) -> Operation:
    """Wait until an operation is finished; return it."""
    finished = OperationState.FINISHED
    wait_until(lambda: show(stack, operation).state is finished, PATIENT, what=lambda: show(stack, operation))
    return show(stack, operation)


def replayed_by(stack: Stack, ids: list[str]) -> list[list[str]]:
    """Return for each job the operations that replayed it."""
    ledger, found = stack.producer.ledger(Region.EU), []
    for start in range(0, len(ids), 200):
        for view in ledger.read(ids[start : start + 200]):
            assert view is not None
            found.append([one["operation"] for one in view.timeline() if one["event"] == "replayed"])
    return found


def notes_by_case(stack: Stack) -> dict[str, list[int]]:
    """Return each case's changes in the order of their commit; a change that was sent again at once is listed once."""
    cases: dict[str, list[int]] = defaultdict(list)
    for effect in stack.sim.effects(kind="close_loop"):
        cases[effect["body"]["number_customergauge"]].append(int(effect["body"]["note"]))
    return {number: [n for n, _ in itertools.groupby(order)] for number, order in cases.items()}


def test_killed_processes_neither_repeat_nor_omit_jobs_of_an_operation(stack: Stack) -> None:
    changes = [case(1 + n % 40, note=str(n // 40)) for n in range(400)]
    ids = bury(stack, [*(record(**FINE) for _ in range(1_600)), *changes])
    first = operations(stack).start(Action.REPLAY, DEAD, by="ann", reason="mended", rate=150)
    workers, beat = [stack.worker(), stack.worker()], stack.beat()
    reach(stack, first, 100)
    second = operations(stack).start(Action.REPLAY, DEAD, by="bob")
    for n, progress in enumerate((300, 600)):
        reach(stack, first, progress)
        kill(workers[n])
        workers[n] = stack.worker()
    reach(stack, first, 900)
    kill(beat)
    stack.beat()
    reach(stack, first, 1_200)
    stack.redis.kill()
    stack.redis.start()
    operations(stack).pause(first.id)
    operations(stack).resume(first.id)
    one, two = finish(stack, first), finish(stack, second)
    assert (one.matched, one.done, one.skipped) == (2_000, 2_000, {})
    assert (two.done, sum(two.skipped.values())) == (0, two.matched)
    assert replayed_by(stack, ids) == [[first.id]] * 2_000
    wait_until(lambda: stack.counts()["delivered"] == 2_000, PATIENT, what=stack.undelivered)
    assert notes_by_case(stack) == {str(number): list(range(10)) for number in range(1, 41)}


def start_command(stack: Stack, *arguments: str) -> subprocess.Popen[str]:
    """Start `gaugepost` as a process of its own."""
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(
        [sys.executable, "-m", "gaugepost_ops", *arguments], env=os.environ | stack.variables, **pipes
    )


def test_killed_command_worker_and_redis_leave_the_operation_to_others(stack: Stack) -> None:
    ids = bury(stack, [record(**FINE) for _ in range(600)])
    worker = stack.worker()
    stack.beat()
    stack.producer.enqueue(record(**FINE)).result(timeout=PATIENT)  # the worker runs
    command = start_command(stack, "replay", "--state", "dead", "--region", "eu", "--rate", "60", "--by", "ann")
    wait_until(lambda: bool(operations(stack).list()), PATIENT)
    [operation] = operations(stack).list()
    reach(stack, operation, 60)
    command.kill()
    command.communicate()
    second = start_command(stack, "replay", "--state", "dead", "--region", "eu", "--by", "bob", "--json")
    kill(worker)
    stack.worker()
    reach(stack, operation, 200)
    wait_until(lambda: len(operations(stack).list()) == 2, PATIENT)
    stack.redis.kill()
    stack.redis.start()
    _, err = second.communicate(timeout=PATIENT)
    finish(stack, operation)
    wait_until(lambda: all(one.has_ended for one in operations(stack).list()), PATIENT)
    later = next(one for one in operations(stack).list() if one.id != operation.id)
    assert show(stack, operation).done == 600
    assert (later.done, sum(later.skipped.values())) == (0, later.matched), err
    assert replayed_by(stack, ids) == [[operation.id]] * 600
    wait_until(lambda: stack.counts()["delivered"] == 601, PATIENT, what=stack.undelivered)


def test_command_follows_pause_and_resume_of_real_workers_to_the_end(stack: Stack) -> None:
    ids = bury(stack, [record(**FINE) for _ in range(150)])
    stack.worker()
    stack.beat()
    stack.producer.enqueue(record(**FINE)).result(timeout=PATIENT)
    call = ("replay", "--state", "dead", "--region", "eu", "--rate", "20", "--set", "record.Email=-")
    with subprocess.Popen(
        [sys.executable, "-m", "gaugepost_ops", *call],
        env=os.environ | stack.variables,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as command:
        assert command.stdin is not None
        command.stdin.write("joe@new.example")
        command.stdin.close()
        command.stdin = None
        wait_until(lambda: bool(operations(stack).list()), PATIENT)
        [operation] = operations(stack).list()
        reach(stack, operation, 20)
        operations(stack).pause(operation.id)
        assert command.stderr is not None
        assert "is paused" in command.stderr.readline()
        assert stack.cli("operations", "resume", operation.id).returncode == 0
        out, _ = command.communicate(timeout=PATIENT)
    assert (command.returncode, out) == (0, "150 replayed\n")
    assert replayed_by(stack, ids) == [[operation.id]] * 150
    wait_until(lambda: stack.counts()["delivered"] == 151, PATIENT, what=stack.undelivered)
    sent = [effect["body"] for effect in stack.sim.effects(kind="record")]
    assert sum("joe@new.example" in str(body) for body in sent) == 150


def test_older_worker_beside_a_newer_one_loses_no_job_of_an_operation(stack: Stack) -> None:
    ids = bury(stack, [record(**FINE) for _ in range(300)])
    operation = operations(stack).start(Action.REPLAY, DEAD, by="ann")
    Old(PREVIOUS, stack).run("worker", "--region", "eu")
    stack.beat()
    stack.producer.enqueue(record(**FINE)).result(timeout=PATIENT)  # the older worker runs
    stack.worker()
    assert finish(stack, operation).done == 300
    wait_until(lambda: stack.counts()["delivered"] == 301, PATIENT, what=stack.undelivered)
    assert replayed_by(stack, ids) == [[operation.id]] * 300
