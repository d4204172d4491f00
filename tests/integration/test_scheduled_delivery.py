"""Scheduled jobs with real processes: none arrives early, none is lost, and they arrive in order."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gaugepost import Record
from gaugepost.errors import JobNotFound
from support.chaos.hosts import Clock
from support.factories import case, record
from support.old_versions import PREVIOUS, Old
from support.stack import Stack, kill
from support.wait import wait_until

SHORT: dict[str, Any] = {"connect_timeout": 1, "read_timeout": 2, "lease": 4, "backoff__lost_answer": "1s,1s,1s"}


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with Stack(tmp_path, **SHORT) as stack:
        yield stack


def soon(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def enqueue(stack: Stack, jobs: list[Record]) -> dict[str, datetime]:
    """Enqueue jobs; return id → deliver_at."""
    receipts = stack.producer.enqueue_many(jobs)
    return {receipt.id: job.deliver_at for receipt, job in zip(receipts, jobs, strict=True) if job.deliver_at}


def early(stack: Stack, due: dict[str, datetime]) -> list[str]:
    """Return the ids of the jobs that arrived before their time by CustomerGauge's clock."""
    arrived = [(one["idempotency_key"], one["received_at"]) for one in stack.sim.effects()]
    return [job_id for job_id, at in arrived if at < due[job_id].timestamp()]


def test_jobs_arrive_in_order_of_their_time_and_not_early(stack: Stack) -> None:
    start, rng = soon(4), random.Random(16)
    times = [start + timedelta(milliseconds=rng.randrange(1000)) for _ in range(200)]
    due = enqueue(stack, [record(deliver_at=time) for time in times])
    stack.worker(concurrency=1)
    stack.beat()
    wait_until(lambda: len(stack.keys()) == len(due), what=stack.undelivered)
    assert early(stack, due) == []
    in_order = sorted(due, key=lambda job_id: due[job_id])  # stable: then the order of enqueue
    assert [effect["idempotency_key"] for effect in stack.sim.effects()] == in_order


def test_killed_processes_lose_no_scheduled_job_and_send_none_early(tmp_path: Path) -> None:
    with Stack(tmp_path, **SHORT) as stack:
        kill_all(stack)


def kill_all(stack: Stack) -> None:
    """Kill Redis, beat and the worker around the time at which the jobs are due, and check that all arrive."""
    due = enqueue(stack, [record(deliver_at=soon(2 + i % 3)) for i in range(300)])
    worker, beat = stack.worker(), stack.beat()
    stack.redis.kill()
    stack.redis.start()
    wait_until(lambda: len(stack.keys()) > 20, what=stack.undelivered)
    kill(beat)
    kill(worker)
    stack.redis.kill()
    stack.redis.start()
    stack.worker()
    wait_until(lambda: stack.counts()["delivered"] == len(due), within=60, what=stack.undelivered)
    assert early(stack, due) == []
    assert stack.keys().keys() == due.keys()


@pytest.mark.needs("faketime")
@pytest.mark.parametrize("offset", ["+3h", "-3h"])
def test_wrong_clock_of_a_worker_sends_nothing_early(stack: Stack, tmp_path: Path, offset: str) -> None:
    clock = Clock(tmp_path, "worker")
    clock.set(offset)
    stack.variables |= clock.env()
    due = enqueue(stack, [record(deliver_at=soon(4)) for _ in range(20)])
    stack.worker()
    wait_until(lambda: len(stack.keys()) == len(due), what=stack.undelivered)
    assert early(stack, due) == []


def test_survey_is_taken_back_by_its_key(stack: Stack) -> None:
    stack.producer.enqueue(record(deliver_at=soon(3)), idempotency_key="order-991")
    stack.producer.enqueue(record(deliver_at=soon(3)), idempotency_key="order-992")
    assert stack.producer.cancel(key="order-991", region="eu")  # type: ignore[arg-type]
    with pytest.raises(JobNotFound, match="no job of eu has this idempotency key"):
        stack.producer.cancel(key="order-993", region="eu")  # type: ignore[arg-type]
    stack.worker()
    wait_until(lambda: stack.counts()["delivered"] == 1, what=stack.undelivered)
    assert stack.counts()["cancelled"] == 1
    assert len(stack.keys()) == 1


def test_commands_show_cancel_and_send_scheduled_jobs(stack: Stack) -> None:
    stack.producer.enqueue(record(deliver_at=soon(3600)), idempotency_key="order-991")
    second = stack.producer.enqueue(record(deliver_at=soon(3600)))
    assert "scheduled" in stack.cli("status").stdout
    assert json.loads(stack.cli("jobs", "--group", "--json").stdout or "[]") == []
    assert stack.cli("cancel", "--key", "order-991").returncode == 2
    assert stack.cli("cancel", "--key", "order-992", "--region", "eu").returncode == 1
    assert stack.cli("cancel", "--key", "order-991", "--region", "eu").returncode == 0
    skipped = json.loads(stack.cli("replay", second.id, "--json").stdout)
    assert (skipped["replayed"], "--unset deliver_at" in skipped["why_not"]) == (False, True)
    assert stack.cli("replay", second.id, "--set", "deliver_at=2026-01-01T00:00:00Z").returncode == 2
    assert stack.cli("replay", second.id, "--unset", "deliver_at").returncode == 0
    assert stack.counts()["queued"] == 1


def test_upload_waits_for_its_time(stack: Stack) -> None:
    (stack.folder / "contacts.csv").write_text("Email\na@b.example\n")
    call = ("upload", "contacts.csv", "--region", "eu", "--family", "contact", "--json", "--deliver-at")
    assert stack.cli(*call, "2026-12-31T09:00:00").returncode == 2
    planned = json.loads(stack.cli(*call, soon(3600).isoformat(), "--dry-run").stdout)
    assert datetime.fromisoformat(planned["due"]) > soon(3500)
    at = soon(3)
    [job_id] = [json.loads(stack.cli(*call, at.isoformat()).stdout)["id"]]
    stack.worker()
    wait_until(stack.keys, what=stack.undelivered)
    assert early(stack, {job_id: at}) == []


def test_older_worker_beside_sends_no_change_of_a_case_early(stack: Stack) -> None:
    older = Old(PREVIOUS, stack)
    first = stack.producer.enqueue(case())
    scheduled = stack.producer.enqueue(case(deliver_at=soon(6), status="progress"))
    last = stack.producer.enqueue(case(status="closed"))
    older.run("worker", "--region", "eu")
    wait_until(lambda: first.state() == "delivered", what=stack.undelivered)
    stack.worker()
    wait_until(lambda: last.state() == "delivered", what=stack.undelivered)
    effects = {effect["idempotency_key"]: effect["received_at"] for effect in stack.sim.effects()}
    assert sorted(effects, key=lambda job_id: effects[job_id]) == [first.id, scheduled.id, last.id]
