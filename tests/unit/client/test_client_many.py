"""Enqueue many jobs and streams of jobs, in both producers."""

from __future__ import annotations

import asyncio
import itertools
import threading
from typing import TYPE_CHECKING, Any

import pytest

from gaugepost import InvalidJob, Producer, Region, Settings
from gaugepost.batches import BATCH
from gaugepost.testing import AsyncMemoryProducer
from support.factories import record, upload
from support.redis_server import running_redis

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gaugepost.jobs import JobBase

pytestmark = pytest.mark.usefixtures("bare_environment")


@pytest.mark.starts_process
def test_large_jobs_go_in_calls_of_bounded_size(tmp_path: Path) -> None:
    with running_redis(tmp_path, "--client-query-buffer-limit", "8mb") as url:
        large = (record(record={"Email": "a@b.example", "Note": "x" * 900_000}) for _ in range(40))
        with Producer(Settings.load(redis_url=url)) as producer:
            assert len(list(producer.enqueue_many(large))) == 40


def test_many_give_a_receipt_each_in_order_over_all_regions(producer: Any) -> None:
    regions = list(itertools.islice(itertools.cycle(["eu", "us", "au", "eu"]), 3 * BATCH + 7))
    receipts = list(producer.enqueue_many(record(region=region, source=f"s{n}") for n, region in enumerate(regions)))
    assert [receipt.region for receipt in receipts] == regions
    assert [producer.job(receipts[n].id).job["source"] for n in (0, 1, BATCH, -1)] == ["s0", "s1", f"s{BATCH}", "s606"]
    assert list(producer.enqueue_many([])) == []


def test_stream_takes_jobs_from_a_generator_a_batch_at_a_time(producer: Any) -> None:
    taken = itertools.count()

    def endless() -> Iterator[JobBase]:
        while True:
            next(taken)
            yield record()

    receipts = producer.enqueue_stream(endless())
    for _ in range(BATCH + 1):
        next(receipts)
    assert next(taken) == 2 * BATCH


WRONG = {
    "file": lambda: upload(content=b""),
    "mapping": lambda: {"kind": "record"},
    "record": lambda: record(region="x"),
}


def with_a_wrong_one(wrong: str) -> Iterator[Any]:
    yield from (record(source=f"s{number}") for number in range(BATCH + 7))
    yield WRONG[wrong]()
    yield record(source="late")


@pytest.mark.parametrize("wrong", WRONG)
def test_all_jobs_before_a_wrong_one_are_stored_and_none_after_it(
    producer: Any, blocking: Producer, wrong: str
) -> None:
    with pytest.raises(InvalidJob) as refused:
        producer.enqueue_many(with_a_wrong_one(wrong))
    sources = [blocking.job(receipt.id).job["source"] for receipt in refused.value.accepted]
    assert sources == [f"s{number}" for number in range(BATCH + 7)]
    assert blocking.ledger(Region.EU).summary()["queued"] == BATCH + 7
    assert "207 jobs were accepted" in str(refused.value.__notes__)
    assert refused.value.number == 208
    assert str(refused.value).startswith("job 208: ")


@pytest.mark.parametrize("one", [{"kind": "record"}, record()])
def test_one_job_alone_is_not_taken_for_many(producer: Any, one: Any) -> None:
    with pytest.raises(InvalidJob, match="use `enqueue`"):
        producer.enqueue_many(one)


def test_error_of_the_callers_generator_is_raised(producer: Any, blocking: Producer) -> None:
    def broken() -> Iterator[JobBase]:
        yield record()
        raise OSError("the file is gone")

    with pytest.raises(OSError, match="the file is gone"):
        producer.enqueue_many(broken())
    assert blocking.ledger(Region.EU).summary()["queued"] == 1


def test_stream_yields_all_receipts_before_a_refusal(producer: Any) -> None:
    receipts = producer.enqueue_stream(with_a_wrong_one("file"))
    accepted = [next(receipts) for _ in range(BATCH + 7)]
    with pytest.raises(InvalidJob, match="empty"):
        next(receipts)
    assert accepted[-1].state() == "queued"


def test_many_receipts_can_be_read_again_counted_and_cut(blocking: Producer) -> None:
    receipts = blocking.enqueue_many(record(region=region) for region in ("eu", "us", "au"))
    assert [one.id for one in receipts] == [one.id for one in receipts]
    assert [one.region for one in receipts[1:]] == ["us", "au"]
    assert (len(receipts), receipts[-1].region, receipts.duplicates, receipts.conflicts) == (3, "au", 0, 0)
    with pytest.raises(IndexError):
        receipts[3]
    assert repr(receipts) == "<3 receipts, 0 duplicates, 0 conflicts>"


def test_forgotten_stream_warns_that_nothing_was_enqueued(blocking: Producer) -> None:
    receipts = blocking.enqueue_stream([record()])
    with pytest.warns(ResourceWarning, match="enqueue_stream\\(\\) was not iterated: no job was enqueued"):
        del receipts


def test_forgotten_call_of_asyncio_warns_that_nothing_was_enqueued() -> None:
    receipts = AsyncMemoryProducer().enqueue_many([record()])
    with pytest.warns(ResourceWarning, match="neither awaited nor iterated: no job was enqueued"):
        del receipts


def test_asyncio_receipts_come_one_by_one_too() -> None:
    async def enqueue() -> list[Any]:
        return [one async for one in AsyncMemoryProducer().enqueue_many([record(), record()])]

    assert len(asyncio.run(enqueue())) == 2


def test_duplicates_among_many_are_marked(producer: Any) -> None:
    receipts = list(producer.enqueue_many([record(idempotency_key="k"), record(idempotency_key="k"), record()]))
    assert [one.duplicate for one in receipts] == [False, True, False]
    assert receipts[0].id == receipts[1].id


def test_one_producer_serves_many_threads(blocking: Producer) -> None:
    ids: list[str] = []

    def work() -> None:
        ids.extend(receipt.id for receipt in blocking.enqueue_many(record() for _ in range(50)))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ids)) == 400
    assert blocking.ledger(Region.EU).summary()["queued"] == 400
