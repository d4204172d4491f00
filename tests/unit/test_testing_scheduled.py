"""The store of `gaugepost.testing` keeps scheduled jobs until the test moves the clock."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from gaugepost import JobState, Record, Region
from gaugepost.errors import JobNotFound
from gaugepost.testing import AsyncMemoryProducer, MemoryProducer


def survey(**more: object) -> Record:
    fields = {"region": "eu", "configuration": "crm", "record": {"Email": "a@b.example"}}
    return Record.model_validate(fields | {"deliver_at": datetime.now(UTC) + timedelta(days=3)} | more)


def test_scheduled_job_is_delivered_once_its_time_has_come() -> None:
    producer = MemoryProducer()
    producer.deliver(Record)
    receipt = producer.enqueue(survey())
    producer.advance(timedelta(days=2))
    assert receipt.state() is JobState.PARKED
    producer.advance(timedelta(days=1, seconds=1))
    assert receipt.state() is JobState.DELIVERED


def test_scheduled_job_is_cancelled_by_its_key() -> None:
    producer = MemoryProducer()
    receipt = producer.enqueue(survey(idempotency_key="order-991"))
    assert producer.cancel(key="order-991", region=Region.EU)
    assert receipt.state() is JobState.CANCELLED
    assert not producer.cancel(key="order-991", region=Region.EU)


def test_coroutine_cancels_a_job_by_its_key() -> None:
    async def cancel() -> JobState:
        producer = AsyncMemoryProducer()
        receipt = await producer.enqueue(survey(idempotency_key="order-991"))
        assert await producer.cancel(key="order-991", region=Region.EU)
        with pytest.raises(JobNotFound):
            await producer.cancel(key="order-992", region=Region.EU)
        return await receipt.state()

    assert asyncio.run(cancel()) is JobState.CANCELLED


def test_cancel_needs_an_id_or_a_key_with_its_region() -> None:
    producer = MemoryProducer()
    with pytest.raises(TypeError, match="either a job's id, or key and region"):
        producer.cancel(key="order-991")
    with pytest.raises(TypeError, match="either a job's id, or key and region"):
        producer.cancel("0f8fad5b", key="order-991", region=Region.EU)
