"""End a worker by SIGTERM, a grace period, and SIGKILL: no job is lost, or doubled without a record."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from gaugepost import CloseLoop, Record, Region
from support.stack import Stack, children, kill
from support.wait import wait_until

SHORT = {"connect_timeout": 1, "read_timeout": 8, "lease": 12, "backoff__lost_answer": "1s,1s,1s,1s"}


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with Stack(tmp_path, **SHORT) as stack:
        yield stack


def record(i: int) -> Record:
    return Record(region=Region.EU, configuration="multi-object", record={"Email": f"person{i}@example.net"})


def test_worker_killed_after_its_grace_period_loses_no_job(
    stack: Stack,
) -> None:
    stack.sim.fault("slow", endpoint="records", seconds=7)
    worker = stack.worker(concurrency=8)
    ids = [receipt.id for receipt in stack.producer.enqueue_many(record(i) for i in range(40))]
    wait_until(lambda: stack.counts()["sending"] > 0 and len(stack.sim.effects()) >= 8, what="requests on their way")
    worker.send_signal(signal.SIGTERM)
    wait_until(lambda: stack.counts()["sending"] == 8, what="what had not begun was given back")
    assert worker.poll() is None, "it ended before it could be killed: nothing was proved"
    kill(worker)
    assert stack.counts()["sending"] == 8
    stack.sim.clear_faults()
    stack.worker()
    stack.beat()
    wait_until(lambda: stack.counts()["delivered"] == 40, what=str(stack.counts()))
    assert set(stack.keys()) == set(ids)
    twice = {job_id for job_id, times in stack.keys().items() if times > 1}
    expected = {
        job_id for job_id in ids
        if "lost_answer" in [one.verdict for one in stack.producer.job(job_id).history.attempts()]
    }  # fmt: skip
    assert len(expected) == 8, "each job in flight records a lost answer"
    assert twice <= expected


def test_worker_ends_cleanly_when_answers_come_within_the_grace_period(
    stack: Stack,
) -> None:
    stack.sim.fault("slow", endpoint="records", seconds=2)
    worker = stack.worker(concurrency=8)
    ids = [receipt.id for receipt in stack.producer.enqueue_many(record(i) for i in range(40))]
    wait_until(lambda: len(stack.sim.effects()) >= 8)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=60) == 0
    counts = stack.counts()
    assert counts["sending"] == 0
    assert counts["delivered"] >= 8
    assert counts["delivered"] + counts["queued"] == 40
    assert counts["queued"] > 0, "the signal came too late to prove anything"
    stack.sim.clear_faults()
    stack.worker()
    wait_until(lambda: stack.counts()["delivered"] == 40)
    assert stack.keys() == dict.fromkeys(ids, 1)


def test_process_group_ends_warmly_after_one_signal(stack: Stack) -> None:
    """KillMode=mixed, and Docker: the signal goes to the first process alone."""
    stack.sim.fault("slow", endpoint="records", seconds=2)
    worker = stack.worker(concurrency=4, processes=2)
    ids = [receipt.id for receipt in stack.producer.enqueue_many(record(i) for i in range(40))]
    wait_until(lambda: len(stack.sim.effects()) >= 8)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=60) == 0
    assert stack.counts()["sending"] == 0
    stack.sim.clear_faults()
    stack.worker()
    wait_until(lambda: stack.counts()["delivered"] == 40)
    assert stack.keys() == dict.fromkeys(ids, 1)


def runs(pid: int) -> bool:
    """Return whether a process that is no child of the test runs."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def test_process_group_ends_warmly_when_its_first_process_is_killed(stack: Stack) -> None:
    """After an out-of-memory kill no process supervises the others, and the next group starts beside them."""
    stack.sim.fault("slow", endpoint="records", seconds=2)
    worker = stack.worker(concurrency=4, processes=2)
    ids = [receipt.id for receipt in stack.producer.enqueue_many(record(i) for i in range(40))]
    wait_until(lambda: len(stack.sim.effects()) >= 8)
    others = children(worker)
    assert len(others) == 2
    worker.kill()
    worker.wait()
    wait_until(lambda: not any(map(runs, others)), what="the others end")
    assert stack.counts()["sending"] == 0
    stack.sim.clear_faults()
    stack.worker()
    wait_until(lambda: stack.counts()["delivered"] == 40)
    assert stack.keys() == dict.fromkeys(ids, 1)


def test_lane_continues_in_order_after_its_worker_was_killed(stack: Stack) -> None:
    stack.sim.fault("slow", endpoint="close_loop", seconds=5, times=1)
    worker = stack.worker()
    steps = ("open", "progress", "closed")
    jobs = [stack.producer.enqueue(CloseLoop(region=Region.EU, number_customergauge=7, status=step)) for step in steps]
    wait_until(lambda: stack.counts()["sending"] == 1 and stack.sim.faults()[0]["hits"] == 1)
    worker.send_signal(signal.SIGTERM)
    kill(worker)
    stack.worker()
    stack.beat()
    for job in jobs:
        job.result(timeout=60)
    sent = [effect["body"]["status"] for effect in stack.sim.effects(kind="close_loop")]
    assert sent[-2:] == ["progress", "closed"]
    assert set(sent[:-2]) == {"open"}
