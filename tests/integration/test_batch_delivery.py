"""Batches with real processes: a canary stops wrong jobs and no others, whatever is killed meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from gaugepost import Record, Region
from gaugepost.ledger.batch_views import Canary
from support.factories import record
from support.ledger_truth import look
from support.old_versions import PREVIOUS, Old
from support.stack import Stack, kill
from support.wait import wait_until

SHORT: dict[str, Any] = {"connect_timeout": 1, "read_timeout": 2, "lease": 4, "backoff__lost_answer": "1s,1s,1s"}
MAPPING = {"required": ["Email", "Name"]}


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with Stack(tmp_path, **SHORT) as stack:
        stack.sim.knobs(mappings={"named": MAPPING})
        yield stack


def rows(number: int, *, wrong: bool = False) -> list[Record]:
    """Make records; the wrong ones lack a column that CustomerGauge requires."""
    more = {} if wrong else {"Name": "Joe"}
    return [record(configuration="named", record={"Email": f"p{n}@example.net"} | more) for n in range(number)]


def canary(stack: Stack, name: str) -> Canary:
    found = stack.producer.batch(name).canary
    assert found is not None
    return found


def faults(stack: Stack) -> list[str]:
    """Return the contradictions in Redis, except those of Celery's keys."""
    with stack.redis.client() as client:
        return [one for one in look(client).faults if not one.startswith("a key without")]


def requests(stack: Stack) -> int:
    counts: Any = stack.sim.state()["requests"]
    return sum(number for name, number in counts.items() if ".token." not in name)


def delivered(stack: Stack, name: str, number: int) -> bool:
    return stack.producer.batch(name).states == {"delivered": number}


def test_wrong_column_meets_few_requests_then_waits_with_its_reason(stack: Stack) -> None:
    stack.producer.enqueue_many(rows(2_000, wrong=True), batch="spring", canary=50)
    stack.worker()
    wait_until(lambda: canary(stack, "spring").state == "held", what=stack.undelivered)
    assert requests(stack) < 100
    reason = "canary: 50 of 50 not clean: 50 missing_field Name"
    assert canary(stack, "spring").reason == reason
    assert stack.producer.ledger(Region.EU).holds()["batch:spring"].reason == reason
    assert stack.producer.batch("spring").held == 1_950
    assert faults(stack) == []


def test_sound_batches_never_stop(stack: Stack) -> None:
    stack.worker()
    for n in range(50):
        stack.producer.enqueue_many(rows(12), batch=f"b{n}", canary=4, tolerance=0)
    wait_until(lambda: stack.counts()["delivered"] == 600, what=stack.undelivered)
    assert {canary(stack, f"b{n}").state for n in range(50)} == {"passed"}
    assert faults(stack) == []


@pytest.mark.parametrize("wrong", [False, True])
def test_killed_worker_and_redis_change_no_decision(tmp_path: Path, wrong: bool) -> None:
    with Stack(tmp_path, **SHORT) as stack:
        stack.sim.knobs(mappings={"named": MAPPING}, latency_ms={"all": 200})
        stack.producer.enqueue_many(rows(100, wrong=wrong), batch="b", canary=40)
        worker = stack.worker(concurrency=4)
        wait_until(lambda: canary(stack, "b").ended >= 4, what=stack.undelivered)
        kill(worker)
        worker = stack.worker(concurrency=4)
        wait_until(lambda: canary(stack, "b").ended >= 12, what=stack.undelivered)
        stack.redis.kill()
        stack.redis.start()
        check_decision(stack, wrong=wrong)


def check_decision(stack: Stack, *, wrong: bool) -> None:
    if wrong:
        wait_until(lambda: canary(stack, "b").state == "held", what=stack.undelivered)
        assert canary(stack, "b").faulty == 40
        assert stack.producer.batch("b").states == {"dead": 40, "parked": 60}
    else:
        wait_until(lambda: delivered(stack, "b", 100), what=stack.undelivered)
        assert canary(stack, "b").state == "passed"
    assert faults(stack) == []


def test_two_producers_share_one_canary(stack: Stack) -> None:
    begun = threading.Barrier(3)

    def enqueue() -> None:
        receipts = iter(stack.producer.enqueue_stream(rows(500), batch="b", canary=60))
        next(receipts)
        begun.wait(30)
        list(receipts)

    producers = [threading.Thread(target=enqueue) for _ in range(2)]
    for one in producers:
        one.start()
    begun.wait(30)
    stack.worker()
    for one in producers:
        one.join()
    wait_until(lambda: delivered(stack, "b", 1_000), what=stack.undelivered)
    assert (canary(stack, "b").members, canary(stack, "b").state) == (60, "passed")
    assert faults(stack) == []


@pytest.mark.parametrize("action", ["resume", "cancel"])
def test_person_races_with_the_decision(stack: Stack, action: str) -> None:
    stack.worker()
    for n in range(8):
        race(stack, f"b{n}", after=n, action=action, wrong=n % 2 == 0)
    wait_until(lambda: not any(stack.producer.batch(f"b{n}").left for n in range(8)), what=stack.undelivered)
    assert stack.producer.ledger(Region.EU).holds() == {}
    assert faults(stack) == []


def race(stack: Stack, name: str, *, after: int, action: str, wrong: bool) -> None:
    """Enqueue a batch; when `after` jobs of its canary have ended, resume it or cancel all of it."""
    ids = [one.id for one in stack.producer.enqueue_many(rows(30, wrong=wrong), batch=name, canary=10)]
    ledger = stack.producer.ledger(Region.EU)
    wait_until(lambda: canary(stack, name).ended >= after, what=stack.undelivered)
    if action == "resume":
        wait_until(lambda: ledger.resume(f"batch:{name}") or canary(stack, name).state == "passed")
    else:
        ledger.cancel(ids)


def test_canary_of_an_older_worker_is_decided_by_this_version(stack: Stack) -> None:
    Old(PREVIOUS, stack).run("worker", "--region", "eu")
    stack.producer.enqueue_many(rows(30), batch="b", canary=10)
    wait_until(lambda: stack.counts()["delivered"] == 10, what=stack.undelivered)
    stack.worker()
    wait_until(lambda: stack.counts()["delivered"] == 30, what=stack.undelivered)
    assert canary(stack, "b").state == "passed"


def test_deleted_batch_leaves_no_key(tmp_path: Path) -> None:
    with Stack(tmp_path, retention_delivered="1s", retention_dead="1s", **SHORT) as stack:
        stack.sim.knobs(mappings={"named": MAPPING})
        stack.producer.enqueue_many(rows(20, wrong=True), batch="spring", canary=5)
        stack.worker()
        stack.beat()
        wait_until(lambda: canary(stack, "spring").state == "held", what=stack.undelivered)
        assert stack.cli("cancel", "--batch", "spring").returncode == 0
        with stack.redis.client() as client:
            wait_until(lambda: not list(client.scan_iter("*:job:*")), within=120, what=stack.undelivered)
            assert _naming(client, b"spring") == []


def _naming(client: redis.Redis, name: bytes) -> list[bytes]:
    """Return the keys that have a name in their own name or in their members."""
    lists = [f"gaugepost:{{eu}}:{one}".encode() for one in ("batches", "canaries", "holds", "releasing")]
    within = [key for key in lists if client.exists(key) and name in client.dump(key)]
    return within + [key for key in client.scan_iter() if name in key]
