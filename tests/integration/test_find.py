"""`find` over real parts: the index survives what kills Redis, and both producers read it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gaugepost import AsyncProducer, JobState, PersonalLink, Region
from gaugepost.errors import StoreError
from gaugepost.testing import AsyncMemoryProducer, MemoryProducer
from support.factories import link, record
from support.ledger_truth import look
from support.old_versions import VERSIONS, Old
from support.stack import Stack
from support.wait import wait_until


def test_killed_redis_keeps_jobs_with_all_their_references(tmp_path: Path) -> None:
    with Stack(tmp_path) as stack:
        over, ids = threading.Event(), list[str]()

        def enqueue() -> None:
            while not over.is_set():
                with contextlib.suppress(StoreError):
                    jobs = [record(record={"Email": f"{n % 7}@example.com"}, labels=("bulk",)) for n in range(50)]
                    ids.extend(one.id for one in stack.producer.enqueue_many(jobs))

        service = threading.Thread(target=enqueue)
        service.start()
        try:
            for round_ in range(1, 4):
                wait_until(lambda some=300 * round_: len(ids) > some)
                stack.redis.kill()
                stack.redis.start()
                with stack.redis.client() as client:
                    assert look(client).faults == []
        finally:
            over.set()
            service.join()
        found = {view.id for view in stack.producer.find(label="bulk", limit=len(ids) + 1_000)}
        assert found >= set(ids)


def test_delivered_link_is_found_by_the_number_of_its_answer(tmp_path: Path) -> None:
    with Stack(tmp_path) as stack:
        stack.worker()
        job = stack.producer.enqueue(link(configuration="multi-object"))
        number = job.result(timeout=60).number_customergauge
        assert [(view.id, view.matched) for view in stack.producer.find(str(number))] == [(job.id, "number")]


def test_both_producers_find_the_same_jobs(tmp_path: Path) -> None:
    async def found(settings: object) -> list[tuple[str, str | None]]:
        async with AsyncProducer(settings) as producer:  # type: ignore[arg-type]
            first = await producer.find("A@b.example", limit=2)
            rest = await producer.find("a@B.example", cursor=first.next)
            return [(view.id, view.matched) for view in first + rest]

    with Stack(tmp_path) as stack:
        jobs = [record(region=region) for region in (Region.EU, Region.US, Region.EU, Region.AU)]
        ids = [one.id for one in map(stack.producer.enqueue, jobs)]
        expected = [(one, "email") for one in ids[::-1]]
        assert [(view.id, view.matched) for view in stack.producer.find(email="a@b.example")] == expected
        assert asyncio.run(found(stack.producer.settings)) == expected
        assert [view.id for view in stack.producer.find("a@b.example", region=Region.EU)] == [ids[2], ids[0]]


def test_testing_kit_finds_jobs() -> None:
    producer = MemoryProducer()
    producer.deliver(PersonalLink)
    job = producer.enqueue(link(record={"Email": "joe@example.com"}, labels=("spring",)))
    now = datetime.now(UTC)
    assert producer.find(email="JOE@example.com", since=now - timedelta(hours=1))[0].id == job.id
    assert producer.find(label="spring", until=now - timedelta(hours=1)) == []
    assert producer.jobs_page(Region.EU, JobState.DELIVERED, since=now - timedelta(hours=1))[0].id == job.id
    beside = AsyncMemoryProducer(beside=producer)
    found = asyncio.run(beside.find(label="spring"))
    page = asyncio.run(beside.jobs_page(Region.EU, JobState.DELIVERED, limit=5))
    assert [view.id for view in page] == [view.id for view in found]
    assert [view.state for view in found] == ["delivered"]


@pytest.mark.parametrize("version", VERSIONS)
def test_workers_index_jobs_of_an_older_version(tmp_path: Path, version: str) -> None:
    common = {"kind": "record", "configuration": "multi-object", "record": {"Email": "joe@example.com"}, "region": "eu"}
    with Stack(tmp_path) as stack:
        old = Old(version, stack)
        ids = old.enqueue(*[common | {"idempotency_key": f"old-{n}"} for n in range(30)])
        at_first = stack.producer.find(key="old-7")
        assert at_first.unindexed == (0 if at_first else len(ids)), "the previous version may have the index already"
        stack.worker()
        stack.beat()
        wait_until(lambda: not stack.producer.find(key="old-7").unindexed)
        assert [view.id for view in stack.producer.find(key="old-7")] == [ids[7]]
        assert [view.id for view in stack.producer.find("JOE@example.com")] == ids[::-1]
        [later] = old.enqueue(common)
        wait_until(
            lambda: stack.producer.find("joe@example.com", limit=1)[0].id == later, what="an older service's job"
        )
