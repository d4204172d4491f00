"""The store of `gaugepost.testing` decides about canaries as Redis does."""

from __future__ import annotations

import asyncio

import pytest

from gaugepost import BatchConflict, InvalidJob, JobState, Record, Region
from gaugepost.errors import JobNotFound
from gaugepost.testing import AsyncMemoryProducer, MemoryProducer


def rows(number: int) -> list[Record]:
    return [Record(region=Region.EU, configuration="crm", record={"Email": f"p{n}@b.example"}) for n in range(number)]


def test_sound_canary_lets_the_others_follow() -> None:
    producer = MemoryProducer()
    receipts = producer.enqueue_many(rows(6), batch="spring", canary=2)
    producer.deliver(*receipts[:2])
    producer.deliver(Record)
    producer.advance(1)
    assert {receipt.state() for receipt in receipts} == {JobState.DELIVERED}
    found = producer.batch("spring").canary
    assert found is not None
    assert found.state == "passed"


def test_wrong_canary_stops_the_others_and_names_the_fields() -> None:
    producer = MemoryProducer()
    producer.kill(Record, verdict="missing_field", field_errors={"Name": ["is required"]})
    receipts = producer.enqueue_many(rows(6), batch="spring", canary=2)
    producer.advance(1)
    assert [receipt.state() for receipt in receipts[2:]] == [JobState.PARKED] * 4
    view = producer.batch("spring", region=Region.EU)
    assert view.canary is not None
    assert view.canary.reason == "canary: 2 of 2 not clean: 2 missing_field Name"
    assert view.to_dict()["verdicts"] == {"missing_field": 2}


def test_coroutines_enqueue_and_read_batches() -> None:
    async def run() -> None:
        producer = AsyncMemoryProducer()
        receipts = await producer.enqueue_many(rows(3), batch="spring", canary=1)
        assert [await one.state() for one in receipts] == [JobState.QUEUED, JobState.PARKED, JobState.PARKED]
        assert [one.duplicate async for one in producer.enqueue_stream(rows(1), batch="spring")] == [False]
        assert (await producer.batch("spring")).total == 4
        with pytest.raises(BatchConflict):
            await producer.enqueue_many(rows(1), batch="spring", canary=2)
        with pytest.raises(JobNotFound, match="no batch other"):
            await producer.batch("other")

    asyncio.run(run())


def test_same_name_and_canary_are_refused_once_it_has_passed() -> None:
    producer, asynchronous = MemoryProducer(), AsyncMemoryProducer()
    producer.deliver(*producer.enqueue_many(rows(1), batch="spring", canary=1))
    with pytest.raises(BatchConflict, match="batch spring has begun, and its canary has passed"):
        next(iter(producer.enqueue_stream(rows(1), batch="spring", canary=1)))

    async def run() -> None:
        asynchronous.deliver(*await asynchronous.enqueue_many(rows(1), batch="spring", canary=1))
        with pytest.raises(BatchConflict):
            await asynchronous.enqueue_many(rows(1), batch="spring", canary=1)

    asyncio.run(run())
    assert producer.batch("spring").total == 1


def test_long_call_goes_on_after_its_canary_has_passed() -> None:
    producer = MemoryProducer()
    stream = iter(producer.enqueue_stream(rows(450), batch="spring", canary=1))
    producer.deliver(next(stream))
    assert len(list(stream)) == 449


def test_batch_of_a_call_replaces_that_of_a_job() -> None:
    producer = MemoryProducer()
    own = rows(1)[0].model_copy(update={"batch": "own"})
    first = producer.enqueue(own)
    second = next(iter(producer.enqueue_stream([own], batch="call")))
    assert [producer.job(one.id).job["batch"] for one in (first, second)] == ["own", "call"]


def test_wrong_options_raise_before_a_job_is_stored() -> None:
    producer = MemoryProducer()
    for options in ({"canary": 1}, {"batch": "a b"}, {"batch": "a", "tolerance": 5}):
        with pytest.raises(InvalidJob):
            producer.enqueue_many(rows(1), **options)  # type: ignore[arg-type]
    with pytest.raises(InvalidJob, match="batch"):
        Record(region=Region.EU, configuration="crm", record={"Email": "a@b.example"}, batch="a b")
    assert producer.enqueued() == []
