"""Check a producer's limits of time and connections: many parallel calls, a silent Redis, an absent Redis."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import redis

from gaugepost import AsyncProducer, JobNotFound, JobState, Producer, Region, Settings, StoreUnreachable
from support.factories import record
from support.redis_server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.usefixtures("bare_environment"), pytest.mark.starts_process]

COROUTINES, THREADS = 400, 300
TIMEOUT_S = 1.0
SLACK_S = 12.0
"""For a busy host. Without the store timeout a call takes 15 s or more."""


def connections(url: str) -> set[str]:
    """Return the ids of the server's connections. Other tests of this process may have left theirs open."""
    with redis.Redis.from_url(url) as client:
        ours = str(client.client_id())
        return {one["id"] for one in client.client_list()} - {ours}


@pytest.mark.parametrize("replicas", [0, 1], ids=["", "waiting for replicas"])
def test_hundreds_of_coroutines_enqueue_at_once(redis_url: str, replicas: int) -> None:
    before = connections(redis_url)

    async def enqueue_all() -> tuple[list[Any], set[str]]:
        async with AsyncProducer(Settings.load(redis_url=redis_url, wait_replicas=replicas)) as producer:
            calls = (producer.enqueue(record()) for _ in range(COROUTINES))
            return await asyncio.gather(*calls, return_exceptions=True), connections(redis_url)

    receipts, opened = asyncio.run(enqueue_all())
    assert {type(one).__name__ for one in receipts} == {"StoreUnreachable" if replicas else "AsyncReceipt"}
    assert not [one for one in receipts if "MaxConnections" in str(one)]
    assert len(opened - before) <= 50


@pytest.mark.parametrize("replicas", [0, 1], ids=["", "waiting for replicas"])
def test_hundreds_of_threads_enqueue_at_once(redis_url: str, replicas: int) -> None:
    before = connections(redis_url)
    found: list[str] = []
    together = threading.Barrier(THREADS)
    with Producer(Settings.load(redis_url=redis_url, wait_replicas=replicas, store_timeout=30)) as producer:

        def enqueue() -> None:
            together.wait()
            try:
                found.append(type(producer.enqueue(record())).__name__)
            except StoreUnreachable as error:
                found.append(str(error))

        threads = [threading.Thread(target=enqueue) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        opened = connections(redis_url)
    expected = "0 of 1 replicas have it: a fail-over may lose it" if replicas else "Receipt"
    assert found == [expected] * THREADS
    assert len(opened - before) <= 50


@contextmanager
def silent() -> Iterator[str]:
    """Listen and never answer; yield the URL."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


def refused_after(call: Callable[[], object]) -> float:
    """Return the seconds until a call raises that Redis cannot be reached."""
    began = time.monotonic()
    with pytest.raises(StoreUnreachable):
        call()
    return time.monotonic() - began


def producer_calls(producer: Producer) -> dict[str, Callable[[], object]]:
    return {
        "enqueue": lambda: producer.enqueue(record()),
        "state": lambda: producer.state("0" * 32),
        "forecast": lambda: producer.forecast(Region.EU, 1),
    }


@pytest.mark.parametrize("call", ["enqueue", "state", "forecast"])
def test_call_to_a_silent_redis_ends_within_the_store_timeout(call: str) -> None:
    with silent() as url, Producer(Settings.load(redis_url=url, store_timeout=TIMEOUT_S)) as producer:
        assert refused_after(producer_calls(producer)[call]) < TIMEOUT_S + SLACK_S


@pytest.mark.parametrize("call", ["enqueue", "state"])
def test_call_of_asyncio_to_a_silent_redis_ends_within_the_store_timeout(call: str) -> None:
    async def ask(url: str) -> None:
        async with AsyncProducer(Settings.load(redis_url=url, store_timeout=TIMEOUT_S)) as producer:
            await (producer.enqueue(record()) if call == "enqueue" else producer.state("0" * 32))

    with silent() as url:
        assert refused_after(lambda: asyncio.run(ask(url))) < TIMEOUT_S + SLACK_S


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path).start()
    yield server
    server.stop()


def test_frozen_redis_raises_within_the_store_timeout_and_recovers(server: RedisServer) -> None:
    with Producer(Settings.load(redis_url=server.url, store_timeout=TIMEOUT_S)) as producer:
        producer.enqueue(record())
        with server.frozen():
            for _ in range(2):
                assert refused_after(lambda: producer.enqueue(record())) < TIMEOUT_S + SLACK_S
        assert producer.enqueue(record()).state() is JobState.QUEUED


def test_frozen_redis_raises_in_asyncio_within_the_store_timeout(server: RedisServer) -> None:
    async def ask() -> JobState:
        async with AsyncProducer(Settings.load(redis_url=server.url, store_timeout=TIMEOUT_S)) as producer:
            await producer.enqueue(record())
            with server.frozen():
                began = time.monotonic()
                calls = (producer.enqueue(record()) for _ in range(60))  # more than there are connections
                found = await asyncio.gather(*calls, return_exceptions=True)
                assert time.monotonic() - began < TIMEOUT_S + SLACK_S
                assert {type(one) for one in found} == {StoreUnreachable}
            return await (await producer.enqueue(record())).state()

    assert asyncio.run(ask()) is JobState.QUEUED


def test_connection_that_died_unnoticed_costs_no_call(server: RedisServer) -> None:
    with Producer(Settings.load(redis_url=server.url)) as producer:
        producer.enqueue(record())
        server.kill()
        server.start()
        assert producer.enqueue(record()).accepted_as is JobState.QUEUED


# A Redis for each region


@pytest.fixture
def apart(server: RedisServer) -> Settings:
    """Give each region its own Redis user; a test can remove that of eu."""
    with server.client() as client:
        for region in Region:
            client.acl_setuser(region, enabled=True, passwords=["+pass"], commands=["+@all"], keys=["*"])
    return Settings.load(redis_url=f"redis://{{region}}:pass@127.0.0.1:{server.port}/0", regions="eu,us")


@pytest.fixture
def eu_goes(server: RedisServer) -> Callable[[], None]:
    def go() -> None:
        with server.client() as client:
            client.acl_deluser("eu")

    return go


def test_receipt_asks_its_own_region_alone(apart: Settings, eu_goes: Callable[[], None]) -> None:
    with Producer(apart) as producer:
        job = producer.enqueue(record(region="us"))
        eu_goes()
        assert job.state() is JobState.QUEUED
        assert [entry["event"] for entry in job.timeline()] == ["enqueued"]
        assert job.cancel()


def test_id_is_found_though_another_region_is_away(apart: Settings, eu_goes: Callable[[], None]) -> None:
    with Producer(apart) as producer:
        job = producer.enqueue(record(region="us"))
        eu_goes()
        assert producer.job(job.id).region is Region.US
        assert producer.state(job.id, region=Region.US) is JobState.QUEUED
        with pytest.raises(StoreUnreachable, match=r"no job 0+ in us; eu could not be asked: Redis cannot be reached"):
            producer.job("0" * 32)
        with pytest.raises(JobNotFound):
            producer.job("0" * 32, region=Region.US)
        with pytest.raises(StoreUnreachable, match=r"no file set set-1 in us; eu could not be asked"):
            producer.uploads.view("set-1")


def test_asyncio_asks_as_the_blocking_producer_does(apart: Settings, eu_goes: Callable[[], None]) -> None:
    async def ask() -> None:
        async with AsyncProducer(apart) as producer:
            job = await producer.enqueue(record(region="us"))
            eu_goes()
            assert await job.state() is JobState.QUEUED
            assert (await producer.job(job.id)).region is Region.US
            with pytest.raises(StoreUnreachable, match="eu could not be asked"):
                await producer.job("0" * 32)

    asyncio.run(ask())


def test_many_over_regions_name_what_is_stored_when_one_is_away(apart: Settings, eu_goes: Callable[[], None]) -> None:
    with Producer(apart) as producer:
        eu_goes()
        with pytest.raises(StoreUnreachable) as away:
            producer.enqueue_many(record(region=region) for region in ("us", "eu", "us"))
        assert [one.region for one in away.value.accepted] == ["us", "us"]
