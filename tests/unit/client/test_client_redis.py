"""Producers whose Redis is absent, full, read-only, restarted, or one for each region."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
import redis

from gaugepost import AsyncProducer, BacklogFull, Producer, Settings, SettingsError, StoreFull, StoreUnreachable
from support.factories import case, record
from support.redis_server import free_port, running_redis

if TYPE_CHECKING:
    from pathlib import Path

    from gaugepost import Receipt

pytestmark = pytest.mark.usefixtures("bare_environment")


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
    of_absent_master = ("--replicaof", "127.0.0.1", str(free_port()))
    with (
        running_redis(tmp_path, *of_absent_master) as url,
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
