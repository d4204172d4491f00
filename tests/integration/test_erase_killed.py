"""Kill the worker or Redis while a person is erased, and erase jobs of older versions."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

import pytest

from gaugepost import Region
from gaugepost.errors import StoreError
from gaugepost.ledger.erasing import Person, Receipt
from support.all_values import all_values, marks_in
from support.factories import record
from support.ledger_truth import look
from support.old_versions import OLDER_NAMES, VERSIONS, Old
from support.stack import Stack, kill
from support.wait import wait_until
from support.worker_ledger import worker_ledger

if TYPE_CHECKING:
    from pathlib import Path

    from gaugepost.ledger.erasing import Erasure

EMAIL = "joe.doe@example.com"
JOE = Person(EMAIL)
PATIENT = 120


def erasure(stack: Stack) -> Erasure:
    return stack.producer.ledger(Region.EU).erasure


def left(stack: Stack) -> list[str]:
    with stack.redis.client() as client:
        return marks_in(all_values(client), [EMAIL])


def test_killed_redis_leaves_whole_jobs_and_a_second_call_ends_it(tmp_path: Path) -> None:
    with Stack(tmp_path) as stack:
        ids = [one.id for one in stack.producer.enqueue_many([record(record={"Email": EMAIL}) for _ in range(2_000)])]
        begun = threading.Event()

        def erase() -> None:
            with contextlib.suppress(StoreError):
                erasure(stack).erase(JOE, 0, "a test", lambda _: begun.set())

        first = threading.Thread(target=erase)
        first.start()
        assert begun.wait(PATIENT)
        stack.redis.kill()
        stack.redis.start()
        first.join()
        erased = sum(view.erased_at is not None for view in stack.producer.ledger(Region.EU).read(ids) if view)
        assert erased > 0
        assert erasure(stack).erase(JOE, 0, "a test") == Receipt(cancelled=len(ids) - erased)
        assert left(stack) == []
        assert erasure(stack).erase(JOE, 0, "a test") == Receipt()
        with stack.redis.client() as client:
            assert look(client).faults == []


def test_job_of_a_killed_worker_is_stripped_by_the_rescuer(tmp_path: Path) -> None:
    with Stack(tmp_path, connect_timeout=1, read_timeout=15, lease=20) as stack:
        stack.sim.fault("slow", endpoint="records", seconds=10)
        worker, ledger = stack.worker(), stack.producer.ledger(Region.EU)
        job_id = stack.producer.enqueue(record(configuration="multi-object", record={"Email": EMAIL})).id
        wait_until(lambda: ledger.summary().get("sending", 0), PATIENT)
        kill(worker)
        assert erasure(stack).erase(JOE, 0, "a test") == Receipt(sending=1)
        assert left(stack) == [EMAIL]
        stack.worker()
        stack.beat()
        wait_until(lambda: not ledger.summary().get("sending", 0), PATIENT)
        [view] = ledger.read([job_id])
        assert view is not None
        assert view.state in {"cancelled", "unknown"}
        assert left(stack) == []


def test_killed_command_is_finished_by_the_same_command(tmp_path: Path) -> None:
    command = ("erase", "--email", EMAIL, "--yes")
    with Stack(tmp_path, regions="eu") as stack, stack.redis.client() as client:
        ids = [one.id for one in stack.producer.enqueue_many([record(record={"Email": EMAIL}) for _ in range(10_000)])]
        ledger = stack.producer.ledger(Region.EU)
        process = stack.run("-m", "gaugepost_ops", *command)
        wait_until(lambda: ledger.summary().get("cancelled", 0), PATIENT)
        kill(process)
        assert 0 < ledger.summary()["cancelled"] < len(ids)
        assert stack.cli(*command).returncode == 0
        assert ledger.summary()["cancelled"] == len(ids)
        assert left(stack) == []
        assert look(client).faults == []


def test_job_that_an_older_worker_sends_is_stripped_after_its_answer(tmp_path: Path) -> None:
    job = {"kind": "record", "configuration": "multi-object", "record": {"Email": EMAIL}, "region": "eu"}
    with Stack(tmp_path) as stack:
        slow = stack.sim.fault("slow", endpoint="records", seconds=10)
        ledger, old = stack.producer.ledger(Region.EU), Old(OLDER_NAMES[-1], stack)
        [job_id] = old.enqueue(job)
        old.run("worker", "--region", "eu")
        wait_until(lambda: ledger.summary().get("sending", 0), PATIENT)
        assert erasure(stack).erase(JOE, 0, "a test") == Receipt(sending=1)
        stack.sim.clear_faults(slow)
        wait_until(lambda: ledger.summary().get("delivered", 0), PATIENT)
        assert left(stack) == [EMAIL]
        worker_ledger(stack.producer).sweep()  # as beat does each minute
        assert left(stack) == []
        [view] = ledger.read([job_id])
        assert view is not None
        assert view.state == "delivered"


@pytest.mark.parametrize("version", VERSIONS)
def test_jobs_of_an_older_version_are_erased(tmp_path: Path, version: str) -> None:
    job = {"kind": "record", "configuration": "multi-object", "record": {"Email": EMAIL}, "region": "eu"}
    with Stack(tmp_path) as stack:
        ids = Old(version, stack).enqueue(*[job for _ in range(30)])
        assert erasure(stack).erase(JOE, 0, "a test") == Receipt(cancelled=len(ids))
        with stack.redis.client() as client:
            assert marks_in(all_values(client), [EMAIL]) == []
