"""Kill the master of a real Redis with a replica and three sentinels.

Replication is asynchronous, so a fail-over may lose the last writes. These tests count the jobs of the new master.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from gaugepost import AsyncProducer, Producer, Record, Region, Settings
from gaugepost.connection import connect
from gaugepost.errors import StoreError, StoreUnreachable
from gaugepost.ledger import Claimed, Entry, Settlement, WorkerLedger
from gaugepost.transitions import Decision, Delivered, Requeued
from support.factories import response
from support.redis_server import Watched
from support.stack import Stack
from support.wait import wait_until

SHORT = {"connect_timeout": 1, "read_timeout": 2, "lease": 4}


def record(i: int, **more: object) -> Record:
    fields = {"region": Region.EU, "configuration": "multi-object", "record": {"Email": f"person{i}@example.net"}}
    return Record.model_validate(fields | more)


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    with Watched(tmp_path) as watched:
        yield watched


@pytest.fixture
def stack(tmp_path: Path, watched: Watched) -> Iterator[Stack]:
    (tmp_path / "stack").mkdir()
    with Stack(tmp_path / "stack", redis=watched.master, redis_url=watched.url, **SHORT) as stack:
        yield stack


class Service(threading.Thread):
    """A service that enqueues jobs, each with its own idempotency key, and repeats each call until it is accepted."""

    def __init__(self, producer: Producer) -> None:
        super().__init__(daemon=True)
        self._producer = producer
        self.done = threading.Event()
        self.accepted: dict[str, str] = {}
        """Key → id, as the last acceptance said."""
        self.refused = 0

    def run(self) -> None:
        for i in itertools.count():
            if self.done.wait(0.005):
                return
            key = f"key-{i}"
            while key not in self.accepted:
                try:
                    self.accepted[key] = self._producer.enqueue(record(i), idempotency_key=key).id
                except StoreError:
                    self.refused += 1


def ids_of(client: redis.Redis) -> set[str]:
    return {key.rpartition(b":")[2].decode() for key in client.scan_iter("gaugepost:{eu}:job:*", count=1000)}


def test_killed_master_is_replaced_and_all_its_replicated_jobs_are_delivered(stack: Stack, watched: Watched) -> None:
    stack.worker()
    stack.beat()
    service = Service(stack.producer)
    service.start()
    wait_until(lambda: len(stack.keys()) > 100)
    watched.master.kill()
    watched.await_promotion()
    before = len(service.accepted)
    wait_until(lambda: len(service.accepted) > before + 100, what="the service enqueues again")
    service.done.set()
    service.join()
    assert service.refused, "the service never met the fail-over: nothing was proved"
    with watched.replica.client() as client:
        there = ids_of(client)
    wait_until(lambda: stack.counts().get("delivered") == len(there), what="all jobs of the new master are delivered")
    assert set(service.accepted.values()) & there <= set(stack.keys())
    assert stack.processes[0].poll() is None
    assert stack.processes[1].poll() is None
    kept = max(i for i in range(before) if service.accepted[f"key-{i}"] in there)  # the very last one may be lost
    again = stack.producer.enqueue(record(kept), idempotency_key=f"key-{kept}")
    assert (again.id, again.duplicate) == (service.accepted[f"key-{kept}"], True)


def enqueue_while_the_replica_hears_nothing(watched: Watched, wait_replicas: int) -> set[str]:
    """Enqueue more than the socket buffers hold, kill the master, and return the accepted jobs that are lost."""
    accepted = set()
    settings = Settings.load(redis_url=watched.url, wait_replicas=wait_replicas)
    with Producer(settings) as producer:
        producer.enqueue(record(0))
        with watched.replica.frozen():
            for i in range(1, 3 if wait_replicas else 200):
                large = {f"Comment {n}": "x" * 9_000 for n in range(20)}
                with contextlib.suppress(StoreUnreachable):
                    accepted.add(producer.enqueue(record(i, record=large)).id)
            watched.master.kill()
        watched.await_promotion()
    with watched.replica.client() as client:
        return accepted - ids_of(client)


def test_a_fail_over_may_lose_what_was_accepted_last(watched: Watched) -> None:
    assert enqueue_while_the_replica_hears_nothing(watched, wait_replicas=0)


def test_wait_replicas_accepts_only_replicated_jobs(watched: Watched) -> None:
    assert not enqueue_while_the_replica_hears_nothing(watched, wait_replicas=1)
    with Producer(Settings.load(redis_url=watched.url, wait_replicas=1)) as producer:
        with pytest.raises(StoreUnreachable, match="0 of 1 replicas have it"):
            producer.enqueue(record(1), idempotency_key="k")  # the new master has none as yet
        watched.master.start()
        job = wait_until(lambda: accepted(producer), within=90, what="the old master is a replica now")
        assert job.duplicate, "a job whose enqueue failed was stored, and its key was kept"


def accepted(producer: Producer) -> Any:
    with contextlib.suppress(StoreUnreachable):
        return producer.enqueue(record(1), idempotency_key="k")


def fall_behind(watched: Watched) -> None:
    """Write more to the master than the sockets to a frozen replica hold: the replica misses later writes."""
    with watched.master.client() as client:
        for n in range(32):
            client.set(f"filler:{n}", bytes(1_000_000))


def is_replicated(client: redis.Redis) -> bool:
    with contextlib.suppress(redis.RedisError):
        return bool(client.wait(1, 100))
    return False


def marked(ledger: WorkerLedger, claimed: Claimed) -> tuple[int, int]:
    """Mark a job; repeat while the new replica does not confirm the mark in time."""
    while True:
        with contextlib.suppress(StoreUnreachable):
            return ledger.mark(claimed)


def test_of_two_holders_of_one_fencing_token_only_the_new_masters_sends(watched: Watched) -> None:
    settings = Settings.load(redis_url=watched.url, wait_replicas=1)
    before, after = (WorkerLedger(connect(settings, Region.EU), Region.EU, settings) for _ in range(2))
    ids = [one.id for one in before.enqueue([Entry.of(response()) for _ in range(4)])]
    with watched.replica.frozen():
        fall_behind(watched)
        lost = before.claim("w1", "call 1", 4).jobs
        assert [one.id for one in lost] == ids
        watched.master.kill()
    watched.await_promotion()
    current = after.claim("w2", "call 2", 4).jobs
    assert [(one.id, one.fence) for one in current] == [(one.id, one.fence) for one in lost], "nothing was proved"
    watched.master.start()
    with watched.replica.client() as client:
        wait_until(lambda: is_replicated(client), within=90, what="the old master is a replica now")
    assert [before.mark(one) for one in lost] == [(-1, 0)] * 4
    assert before.renew(lost) == [False] * 4
    assert before.settle([Settlement(one, Decision(Requeued())) for one in lost]) == [False] * 4
    assert [marked(after, one) for one in current] == [(1, 0)] * 4
    assert after.settle([Settlement(one, Decision(Delivered())) for one in current]) == [True] * 4


def test_asyncio_and_the_command_line_go_through_sentinels_too(stack: Stack) -> None:
    async def enqueue() -> str:
        async with AsyncProducer(stack.settings) as producer:
            return (await producer.enqueue(record(1))).id

    job_id = asyncio.run(enqueue())
    shown = stack.cli("job", job_id, "--json")
    assert json.loads(shown.stdout)["state"] == "queued", shown.stderr


def test_without_any_sentinel_a_command_ends_with_3_and_shows_no_password(stack: Stack, watched: Watched) -> None:
    watched.__exit__()
    failed = stack.cli("status")
    assert failed.returncode == 3
    assert "Redis cannot be reached" in failed.stderr
    assert "sesame" not in failed.stdout + failed.stderr
    assert len(failed.stderr.splitlines()) == 2, "what is wrong, and what to do"
