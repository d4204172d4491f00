"""`Producer` and `AsyncProducer`, as services use them, over a real Redis; and those of `gaugepost.testing`."""

from __future__ import annotations

import asyncio
import itertools
import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import redis

from gaugepost import (
    AsyncProducer,
    BacklogFull,
    InvalidJob,
    JobCancelled,
    JobDead,
    JobEnded,
    JobExpired,
    JobNotFound,
    JobState,
    PersonalLinkResult,
    Producer,
    Region,
    ResultTimeout,
    Settings,
    SettingsError,
    StoreFull,
    StoreUnreachable,
)
from gaugepost.admission import BATCH
from gaugepost.ledger import Settlement
from gaugepost.testing import AsyncMemoryProducer, MemoryProducer
from gaugepost.testing.controls import Controls
from gaugepost.transitions import Attempt, Dead, Decision, Delivered
from gaugepost.verdict import Verdict
from support.factories import case, link, record, response, upload
from support.redis_server import free_port, running_redis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from gaugepost import Receipt
    from gaugepost.jobs import JobBase

pytestmark = pytest.mark.usefixtures("bare_environment")
LINKS = {"number_customergauge": 5, "survey_link": "https://long", "survey_link_short": "https://s"}


@dataclass
class Asynchronous:
    """The asyncio producer behind the calls of the blocking one, so that one test is for both."""

    producer: AsyncProducer
    loop: asyncio.AbstractEventLoop

    def enqueue(self, job: Any, **more: Any) -> Any:
        return self._receipt(self.run(self.producer.enqueue(job, **more)))

    def enqueue_many(self, jobs: Any) -> list[Any]:
        async def enqueue() -> Any:
            return await self.producer.enqueue_many(jobs)

        return [self._receipt(one) for one in self.run(enqueue())]

    def enqueue_stream(self, jobs: Any) -> Iterator[Any]:
        found = self.producer.enqueue_stream(jobs)

        async def following() -> Any:
            return await anext(found, None)

        while (one := self.run(following())) is not None:
            yield self._receipt(one)

    def _receipt(self, receipt: Any) -> Any:
        return AsynchronousReceipt(receipt, self)

    def run(self, coroutine: Any) -> Any:
        return self.loop.run_until_complete(coroutine)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *args, **more: self.run(getattr(self.producer, name)(*args, **more))


@dataclass
class AsynchronousReceipt:
    """The same for a receipt."""

    receipt: Any
    outer: Asynchronous

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.receipt, name)
        return (lambda *args, **more: self.outer.run(found(*args, **more))) if callable(found) else found


@pytest.fixture
def settings(redis_url: str) -> Settings:
    return Settings.load(redis_url=redis_url)


@pytest.fixture
def blocking(request: pytest.FixtureRequest, settings: Settings) -> Iterator[Producer]:
    """Open the blocking producer: where a test is about one in memory, that one, or the one beside it."""
    way = request.getfixturevalue("way") if "producer" in request.fixturenames else ""
    with MemoryProducer() if "memory" in way else Producer(settings) as producer:
        yield producer


@pytest.fixture(params=["blocking", "asyncio", "blocking in memory", "asyncio in memory"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def producer(way: str, blocking: Producer) -> Iterator[Any]:
    if "asyncio" not in way:
        yield blocking
        return
    with asyncio.Runner() as runner:
        made = (
            AsyncMemoryProducer(beside=blocking) if isinstance(blocking, Controls) else AsyncProducer(blocking.settings)
        )
        wrapped = Asynchronous(made, runner.get_loop())
        yield wrapped
        wrapped.run(wrapped.producer.close())


def end(blocking: Producer, job_id: str, how: Any, *attempts: Attempt) -> None:
    """Do a worker's part for one job."""
    ledger = blocking.ledger(Region.EU)
    [claimed] = [one for one in ledger.claim("w", f"{job_id}", 100).jobs if one.id == job_id]
    assert ledger.settle([Settlement(claimed, Decision(how), attempts)]) == [True]


@pytest.mark.parametrize("kind", [Producer, AsyncProducer])
@pytest.mark.parametrize("url", [None, " "], ids=["none", "blank"])
def test_producer_without_redis_url_is_refused(
    kind: type[Producer | AsyncProducer], url: str | None, bare_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if url is not None:
        monkeypatch.setenv("GAUGEPOST_REDIS_URL", url)
    with pytest.raises(SettingsError) as refused:
        kind()
    assert str(refused.value) == (
        "GAUGEPOST_REDIS_URL is not set. Set it to your Redis, or run gaugepost demo / gaugepost up to try it "
        "without one."
    )
    assert not list(bare_environment.iterdir())


def test_enqueued_job_is_accepted_and_can_be_found(producer: Any) -> None:
    job = producer.enqueue(link(source="crm"))
    assert (job.region, job.accepted_as, job.duplicate, job.state()) == (Region.EU, "queued", False, "queued")
    assert [entry["event"] for entry in job.timeline()] == ["enqueued"]
    assert producer.job(job.id).job["source"] == "crm"
    assert producer.state(job.id) is JobState.QUEUED


def test_an_idempotency_key_of_the_call_wins_over_the_jobs_own(producer: Any) -> None:
    first = producer.enqueue(record(idempotency_key="a"), idempotency_key="b")
    other = producer.enqueue(record(idempotency_key="a"))
    again = producer.enqueue(record(), idempotency_key="b")
    assert (other.duplicate, again.duplicate) == (False, True)
    assert again.id == first.id
    assert producer.job(first.id).job["idempotency_key"] == "b"


@pytest.mark.parametrize("key", ["", "x" * 201], ids=["empty", "long"])
def test_an_idempotency_key_that_is_none_is_refused(producer: Any, key: str) -> None:
    with pytest.raises(InvalidJob):
        producer.enqueue(record(), idempotency_key=key)


def test_the_result_is_that_of_its_kind(producer: Any, blocking: Producer) -> None:
    job = producer.enqueue(link())
    end(blocking, job.id, Delivered(LINKS))
    result = job.result(timeout=5)
    assert result == PersonalLinkResult(**LINKS)
    assert producer.result(job.id, 0) == result


def test_result_waits_until_the_job_has_ended(blocking: Producer) -> None:
    job = blocking.enqueue(link())
    timer = threading.Timer(0.05, end, (blocking, job.id, Delivered(LINKS)))
    timer.start()
    assert job.result(timeout=10).survey_link_short == "https://s"
    timer.join()


def test_result_times_out_and_says_that_the_job_continues(producer: Any) -> None:
    job = producer.enqueue(record())
    with pytest.raises(ResultTimeout, match=f"job {job.id} is still queued"):
        job.result(timeout=0.01)
    assert issubclass(ResultTimeout, TimeoutError)


def test_result_error_names_that_no_worker_runs(producer: Any, blocking: Producer) -> None:
    job = producer.enqueue(record())
    why = "" if hasattr(blocking, "memory") else " (no worker of eu has been seen (never))"
    with pytest.raises(ResultTimeout, match=re.escape(f"job {job.id} is still queued{why}")):
        job.result(timeout=0)


def test_result_error_shows_why_a_job_waits(producer: Any, blocking: Producer) -> None:
    blocking.ledger(Region.EU).hold("", "maintenance", "ops")
    with pytest.raises(ResultTimeout, match="still queued \\(hold: maintenance\\)"):
        producer.enqueue(record()).result(timeout=0)


def test_a_dead_job_raises_with_its_verdict_message_and_field_errors(producer: Any, blocking: Producer) -> None:
    job = producer.enqueue(record())
    errors = {"Email": ["is required"]}
    attempt = Attempt(1, 1, 1, 422, Verdict.MISSING_FIELD, "The Email field is required.", field_errors=errors)
    end(blocking, job.id, Dead(Verdict.MISSING_FIELD), attempt)
    with pytest.raises(JobDead) as dead:
        job.result(timeout=5)
    told = dead.value
    assert (told.job_id, told.verdict, told.message) == (job.id, "missing_field", "The Email field is required.")
    assert told.field_errors == errors
    assert str(told) == f"job {job.id} is dead: missing_field (The Email field is required.)"
    assert isinstance(told, JobEnded)


def test_a_cancelled_job_raises(producer: Any) -> None:
    job = producer.enqueue(record())
    assert job.cancel()
    assert not job.cancel()
    assert job.state() == "cancelled"
    with pytest.raises(JobCancelled):
        job.result()


def test_an_expired_job_raises(producer: Any, blocking: Producer) -> None:
    job = producer.enqueue(record(expires_at="2020-01-01T00:00:00Z"))
    blocking.ledger(Region.EU).promote()
    with pytest.raises(JobExpired):
        job.result(timeout=5)


@pytest.mark.starts_process
def test_large_jobs_go_in_calls_of_bounded_size(tmp_path: Path) -> None:
    with running_redis(tmp_path, "--client-query-buffer-limit", "8mb") as url:
        large = (record(record={"Email": "a@b.example", "Note": "x" * 900_000}) for _ in range(40))
        with Producer(Settings.load(redis_url=url)) as producer:
            assert len(list(producer.enqueue_many(large))) == 40


def test_idempotency_key_that_is_not_utf8_is_refused(producer: Any) -> None:
    with pytest.raises(InvalidJob, match="idempotency_key: expected text that can be encoded as UTF-8"):
        producer.enqueue(record(), idempotency_key="\ud800")


def test_text_of_a_job_that_is_not_utf8_is_refused(producer: Any) -> None:
    with pytest.raises(InvalidJob, match="comment: expected text that can be encoded as UTF-8"):
        producer.enqueue(response(comment="\ud800"))


@pytest.mark.parametrize("call", ["job", "state", "timeline", "cancel", "result"])
def test_unknown_job_id_is_not_found(producer: Any, call: str) -> None:
    with pytest.raises(JobNotFound):
        getattr(producer, call)("0" * 32)


def test_a_job_is_found_in_whatever_region_it_is(producer: Any) -> None:
    for region in ("eu", "us", "au"):
        job = producer.enqueue(record(region=region))
        assert producer.job(job.id).region == region
        assert job.cancel()


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


def test_mapping_is_enqueued_as_the_job_that_it_describes(producer: Any) -> None:
    job = {"kind": "record", "region": "eu", "configuration": "map", "record": {"Email": "a@b.example"}}
    one, [other] = producer.enqueue(job, idempotency_key="k"), producer.enqueue_many([job])
    assert producer.job(one.id).job["idempotency_key"] == "k"
    assert producer.job(other.id).job["record"] == {"Email": "a@b.example"}


@pytest.mark.parametrize("job", [None, "record", 7, ["record"], {"kind": "fax"}, {}], ids=repr)
def test_non_job_is_refused_with_the_expected_type(producer: Any, job: object) -> None:
    with pytest.raises(InvalidJob, match=r"expected a job such as Record|kind: "):
        producer.enqueue(job)


def test_job_of_a_region_that_is_not_served_is_refused(producer: Any, blocking: Producer) -> None:
    inner = producer.producer if isinstance(producer, Asynchronous) else blocking
    inner.settings = inner.settings.model_copy(update={"regions": (Region.EU,)})
    with pytest.raises(InvalidJob) as refused:
        producer.enqueue(record(region="us"))
    assert str(refused.value) == "region: not served here: expected one of GAUGEPOST_REGIONS (eu)"
    with pytest.raises(InvalidJob, match="not served here"):
        producer.forecast(Region.US, 1)


def test_both_producers_have_uploads_and_forecast(producer: Any, blocking: Producer, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"Email\na@b.example\n")
    ours: Any = producer.producer.uploads if isinstance(producer, Asynchronous) else blocking.uploads
    ask = producer.run if isinstance(producer, Asynchronous) else (lambda found: found)
    opened, parts = ask(ours.plan(path, Region.EU, "contact"))
    with opened:
        files = ask(ours.upload(opened, parts, Region.EU, "contact"))
    assert ask(ours.view(files.id)).counts() == {"waiting": 1}
    assert ask(ours.cancel(files.id)) == 1
    assert ask(ours.undo(files.id)) == []
    with pytest.raises(InvalidJob, match="no rejected row"):
        ask(ours.rejects(files.id))
    assert len(producer.forecast(Region.EU, 2)) == 2


def test_duplicates_among_many_are_marked(producer: Any) -> None:
    receipts = list(producer.enqueue_many([record(idempotency_key="k"), record(idempotency_key="k"), record()]))
    assert [one.duplicate for one in receipts] == [False, True, False]
    assert receipts[0].id == receipts[1].id


def test_a_file_is_read_by_whoever_enqueues(producer: Any, blocking: Producer, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"Email\na@b.example\n")
    job = producer.enqueue(upload(filename=None, content_base64=None, path=str(tmp_path / "a.csv")))
    assert job.accepted_as == "waiting"
    assert blocking.ledger(Region.EU).content(job.id) == b"Email\na@b.example\n"


def test_full_backlog_raises(redis_url: str) -> None:
    with Producer(Settings.load(redis_url=redis_url, backlog_limit=1)) as producer:
        producer.enqueue(case())
        with pytest.raises(BacklogFull, match="1 jobs are waiting"):
            producer.enqueue(case())


def test_absent_server_raises_within_seconds(producer: Any, settings: Settings) -> None:
    nowhere = settings.model_copy(update={"redis_url": type(settings.redis_url)(f"redis://127.0.0.1:{free_port()}/0")})
    with Producer(nowhere) as lost, pytest.raises(StoreUnreachable) as unreachable:
        lost.enqueue(record())
    assert isinstance(unreachable.value, ConnectionError)

    async def ask() -> None:
        async with AsyncProducer(nowhere) as lost_too:
            await lost_too.enqueue(record())

    with pytest.raises(StoreUnreachable):
        asyncio.run(ask())


@pytest.mark.starts_process
def test_server_out_of_memory_raises_and_stores_nothing(tmp_path: Path) -> None:
    with running_redis(tmp_path, "--maxmemory", "1") as url, redis.Redis.from_url(url) as client:
        with Producer(Settings.load(redis_url=url)) as producer, pytest.raises(StoreFull):
            producer.enqueue(record())
        assert client.dbsize() == 0


@pytest.mark.starts_process
def test_read_only_server_raises(tmp_path: Path) -> None:
    of_nobody = ("--replicaof", "127.0.0.1", str(free_port()))
    with (
        running_redis(tmp_path, *of_nobody) as url,
        Producer(Settings.load(redis_url=url)) as producer,
        pytest.raises(StoreFull),
    ):
        producer.enqueue(record())


def test_producer_works_after_its_connections_were_closed(blocking: Producer) -> None:
    job: Receipt[Any] = blocking.enqueue(record())
    blocking.close()
    assert job.state() == "queued"


def test_producer_works_after_the_server_forgot_its_scripts(producer: Any, redis_url: str) -> None:
    producer.enqueue(record())
    with redis.Redis.from_url(redis_url) as client:
        client.script_flush()
    assert producer.enqueue(record()).state() == "queued"


def test_each_region_may_have_a_redis_of_its_own(redis_url: str, tmp_path: Path) -> None:
    with running_redis(tmp_path) as other:
        names = {"eu": redis_url, "us": other}
        for region in ("eu", "us"):
            with Producer(Settings.load(redis_url=names[region])) as producer:
                producer.enqueue(record(region=region))
        with redis.Redis.from_url(other) as client:
            assert client.exists("gaugepost.us")
            assert not client.exists("gaugepost.eu")


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


def test_resolved_job_returns_its_result_or_raises_that_it_has_none(blocking: Producer) -> None:
    job = blocking.enqueue(record())
    end(blocking, job.id, Delivered())
    assert job.result(timeout=1) is not None
