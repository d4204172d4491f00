"""`MemoryProducer` and `AsyncMemoryProducer`: what a service's tests can do with producers in memory."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gaugepost import (
    BacklogFull,
    CloseLoop,
    CloseLoopResult,
    File,
    FileDeleteResult,
    FileResult,
    GaugepostError,
    JobDead,
    JobExpired,
    JobNotFound,
    PersonalLink,
    PersonalLinkResult,
    Record,
    RecordResult,
    Region,
    ResponseResult,
    ResultTimeout,
    Settings,
    StoreUnreachable,
)
from gaugepost.jobs import JOBS, JobBase
from gaugepost.testing import AsyncMemoryProducer, MemoryProducer
from support.factories import case, file_delete, link, record, response, upload

pytest_plugins = ["gaugepost_ops.pytest_plugin"]

LINK = PersonalLinkResult(number_customergauge=5, survey_link="https://long", survey_link_short="https://s")


ONE_OF_EACH: dict[Callable[..., JobBase], type] = {
    record: RecordResult,
    link: PersonalLinkResult,
    case: CloseLoopResult,
    response: ResponseResult,
    upload: FileResult,
    file_delete: FileDeleteResult,
}


@pytest.fixture
def producer() -> MemoryProducer:
    return MemoryProducer()


def test_enqueued_jobs_are_listed_in_order_by_kind_and_region(producer: MemoryProducer) -> None:
    jobs = [record(region="us"), link(region="eu"), record(region="eu", source="crm"), case()]
    for job in jobs:
        producer.enqueue(job)
    assert producer.enqueued() == jobs
    assert producer.enqueued(Record) == [jobs[0], jobs[2]]
    assert producer.enqueued(region="us") == [jobs[0]]
    assert producer.enqueued(PersonalLink, region="us") == []


def test_the_content_of_a_file_can_be_looked_at(producer: MemoryProducer) -> None:
    producer.enqueue(upload(content=b"Email\na@b.example\n"))
    [file] = producer.enqueued(File)
    assert producer.content(file) == b"Email\na@b.example\n"
    with pytest.raises(LookupError):
        producer.content(producer.enqueue(record()))


@pytest.mark.parametrize(("make", "result"), ONE_OF_EACH.items(), ids=lambda made: made.__name__)
def test_each_kind_can_be_delivered_with_its_own_result_type(
    producer: MemoryProducer, make: Callable[..., Any], result: type
) -> None:
    job = producer.enqueue(make())
    producer.deliver(job, warnings=["careful"])
    assert type(job.result(timeout=0)) is result
    assert producer.job(job.id).warnings == ("careful",)
    assert [one["event"] for one in job.timeline()] == ["enqueued", "attempt", "delivered"]
    assert {make().kind for make in ONE_OF_EACH} == set(JOBS)


def test_a_job_is_named_by_its_receipt_its_id_or_itself(producer: MemoryProducer) -> None:
    first, second, third = producer.enqueue(link()), producer.enqueue(link()), producer.enqueue(link())
    producer.deliver(first.id, result=LINK)
    producer.deliver(link(), result=LINK)  # an equal one that is open
    assert [one.state() for one in (first, second, third)] == ["delivered", "delivered", "queued"]
    producer.deliver(third, result={"survey_link": "l", "survey_link_short": "s"})
    assert third.result().survey_link_short == "s"


def test_all_of_a_kind_end_as_was_said_before_they_were_enqueued(producer: MemoryProducer) -> None:
    producer.deliver(PersonalLink, result=LINK)
    producer.kill(JobBase, verdict="missing_field")
    assert producer.enqueue(link()).result(timeout=30) == LINK
    with pytest.raises(JobDead):
        producer.enqueue(record()).result()
    producer.deliver(Record)
    assert [job.state() for job in producer.enqueue_many([record(), record()])] == ["delivered", "delivered"]


def test_dead_job_raises_with_the_given_message(producer: MemoryProducer) -> None:
    job = producer.enqueue(record())
    producer.kill(job, verdict="missing_field", message="It is missing.", field_errors={"Email": ["is required"]})
    with pytest.raises(JobDead) as dead:
        job.result(timeout=30)
    error = dead.value
    assert (error.verdict, error.message, error.field_errors) == (
        "missing_field",
        "It is missing.",
        {"Email": ["is required"]},
    )


def test_result_of_another_kind_is_refused_and_changes_nothing(producer: MemoryProducer) -> None:
    job = producer.enqueue(link())
    wrong: list[Any] = [FileResult(), {"survey_link": "only"}]
    for result in wrong:
        for which in (job, PersonalLink):
            with pytest.raises((TypeError, ValueError)):
                producer.deliver(which, result=result)
    assert job.state() == "queued"


def test_unended_job_raises_timeout_at_once(producer: MemoryProducer) -> None:
    with pytest.raises(ResultTimeout, match="is still queued"):
        producer.enqueue(link()).result(timeout=3600)


def test_status_changes_of_one_case_end_in_their_order_only(producer: MemoryProducer) -> None:
    first, second = producer.enqueue(case()), producer.enqueue(case(status="closed"))
    with pytest.raises(AssertionError, match="waiting \\(lane\\)"):
        producer.deliver(second)
    assert (first.state(), second.state()) == ("queued", "waiting")
    producer.deliver(second, first)
    assert (first.state(), second.state()) == ("delivered", "delivered")


def test_files_take_one_slot_each(producer: MemoryProducer) -> None:
    producer.deliver(File)
    files = [producer.enqueue(upload(f"{n}.csv")) for n in range(3)]
    assert [file.state() for file in files] == ["delivered", "waiting", "waiting"]
    producer.advance(timedelta(minutes=11))
    assert [file.state() for file in files] == ["delivered", "delivered", "waiting"]


def test_a_parked_job_comes_back_when_its_time_has_come(producer: MemoryProducer) -> None:
    job = producer.enqueue(record())
    producer.park(job, seconds=60)
    with pytest.raises(ResultTimeout, match="parked \\(no_campaign\\)"):
        job.result(timeout=30)
    with pytest.raises(AssertionError, match="parked"):
        producer.deliver(job)
    producer.advance(61)
    producer.deliver(job)
    assert job.state() == "delivered"


def test_a_response_whose_answer_was_lost_is_unknown(producer: MemoryProducer) -> None:
    job = producer.enqueue(response())
    producer.lose(job)
    assert job.state() == "unknown"


def test_a_job_expires_if_it_can(producer: MemoryProducer) -> None:
    job = producer.enqueue(record(expires_at=datetime.now(UTC) + timedelta(hours=1)))
    producer.expire(job)
    with pytest.raises(JobExpired):
        job.result()
    with pytest.raises(ValueError, match="never expires"):
        producer.expire(producer.enqueue(record()))


def test_ended_or_absent_job_cannot_be_ended(producer: MemoryProducer) -> None:
    job = producer.enqueue(record())
    assert job.cancel()
    with pytest.raises(AssertionError, match="is cancelled"):
        producer.deliver(job)
    for unknown in ("0" * 32, link()):
        with pytest.raises(LookupError):
            producer.deliver(unknown)


def test_a_job_grows_old_as_time_passes(producer: MemoryProducer) -> None:
    producer.enqueue(record())
    producer.advance(timedelta(hours=1))
    assert producer.ledger(Region.EU).summary()["oldest_age"] >= 3600


def test_an_idempotency_key_is_known_for_seven_days(producer: MemoryProducer) -> None:
    first = producer.enqueue(link(), idempotency_key="k")
    producer.advance(timedelta(days=7, seconds=-30))
    assert producer.enqueue(link(), idempotency_key="k").id == first.id
    producer.advance(31)
    assert not producer.enqueue(link(), idempotency_key="k").duplicate


def test_a_delivered_job_is_forgotten_after_its_retention(producer: MemoryProducer) -> None:
    job = producer.enqueue(record())
    producer.deliver(job)
    producer.advance(timedelta(days=8))
    with pytest.raises(JobNotFound):
        job.state()


def test_the_store_can_be_away_for_a_while(producer: MemoryProducer) -> None:
    producer.deliver(Record)
    job = producer.enqueue(record())
    with producer.unreachable():
        for call in (lambda: producer.enqueue(record()), job.state, job.cancel):
            with pytest.raises(StoreUnreachable):
                call()
    assert job.state() == "delivered"


def test_the_backlog_can_be_full_for_a_while_or_by_its_setting(producer: MemoryProducer) -> None:
    with producer.full(), pytest.raises(BacklogFull):
        producer.enqueue(record())
    producer.enqueue(record())
    small = MemoryProducer(Settings.given(backlog_limit=1))
    small.enqueue(record())
    with pytest.raises(BacklogFull):
        small.enqueue(record())


def test_the_asyncio_producer_has_the_same_jobs_and_the_same_troubles(
    gaugepost_producer: MemoryProducer, gaugepost_async_producer: AsyncMemoryProducer
) -> None:
    here = gaugepost_async_producer

    async def service() -> None:
        job = await here.enqueue(link())
        with pytest.raises(ResultTimeout):
            await job.result(timeout=3600)
        here.deliver(job, result=LINK)
        assert await job.result(timeout=30) == LINK
        for trouble, error in ((here.unreachable(), StoreUnreachable), (here.full(), BacklogFull)):
            with trouble, pytest.raises(error):
                await here.enqueue(record())
        here.deliver(CloseLoop)
        assert await (await here.enqueue(case())).state() == "delivered"

    asyncio.run(service())
    assert [job.kind for job in gaugepost_producer.enqueued()] == ["personal_link", "close_loop"]


def test_threads_never_see_a_job_claimed_by_the_test(producer: MemoryProducer) -> None:
    producer.deliver(PersonalLink, result=LINK)
    wrong: list[GaugepostError] = []

    def work() -> None:
        try:
            for _ in range(20):
                assert producer.enqueue(link()).result(timeout=30) == LINK
        except GaugepostError as error:
            wrong.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_it_opens_no_socket_starts_no_thread_and_reads_no_setting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("GAUGEPOST_BACKLOG_LIMIT=0\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GAUGEPOST_REGIONS", "mars")

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a unit test has no business with this")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    producer = MemoryProducer()
    producer.deliver(JobBase)
    for make in ONE_OF_EACH:
        assert producer.enqueue(make()).state() == "delivered" or make is upload
    producer.close()


def test_two_producers_have_nothing_in_common() -> None:
    one, other = MemoryProducer(), MemoryProducer()
    one.enqueue(record())
    other.advance(timedelta(days=1))
    assert (len(one.enqueued()), other.enqueued()) == (1, [])
