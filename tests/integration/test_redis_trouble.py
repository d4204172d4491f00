"""Break Redis: producers get an error or an acceptance, workers recover by themselves, and no job is lost.

Each test breaks a real Redis, or the connection to it, under real workers.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from gaugepost import Producer, Settings
from gaugepost.errors import StoreFull, StoreUnreachable
from support.redis_server import RedisServer, free_port, running_redis
from support.redis_trouble import SHORT, all_delivered_once, enqueue, enqueue_until_accepted, record
from support.stack import Stack
from support.wait import wait_until


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with Stack(tmp_path, **SHORT) as stack:
        yield stack


# Out of memory


def test_out_of_memory_refuses_new_jobs_while_workers_deliver_what_is_queued(stack: Stack) -> None:
    ids = enqueue(stack.producer, 0, 300)
    with stack.redis.client() as client:
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", 1)
        with pytest.raises(StoreFull, match="Redis refuses writes: out of memory"):
            stack.producer.enqueue(record(300))
        stack.worker()  # both start in the middle of it
        stack.beat()
        all_delivered_once(stack, ids)
        with pytest.raises(StoreFull):
            stack.producer.enqueue(record(300))
        client.config_set("maxmemory", 0)
        all_delivered_once(stack, ids + enqueue(stack.producer, 300, 400))
    assert stack.processes[0].poll() is None
    assert "Connection to broker lost" not in stack.logs()


# Gone, loading, frozen, read-only, its disk full


def test_loading_redis_is_an_error_for_producers_and_a_wait_for_workers(tmp_path: Path) -> None:
    slow = ("--key-load-delay", "100", "--aof-use-rdb-preamble", "no")
    with Stack(tmp_path, redis=RedisServer(tmp_path, *slow), **SHORT) as stack:
        make_its_file_long(stack.redis)
        stack.sim.knobs(latency_ms={"all": 20})
        worker = stack.worker()
        stack.beat()
        ids = enqueue(stack.producer, 0, 300)
        wait_until(lambda: len(stack.keys()) > 50)
        stack.redis.kill()
        stack.redis.start(wait=False)
        wait_until(lambda: is_loading(stack.redis), what="a server that loads")
        with pytest.raises(StoreUnreachable, match="BusyLoadingError"):
            stack.producer.enqueue(record(300), idempotency_key="key-300")
        ids.append(enqueue_until_accepted(stack.producer, 300))
        wait_until(lambda: stack.counts().get("delivered") == len(ids))
        assert set(stack.keys()) == set(ids)
        assert worker.poll() is None


def make_its_file_long(server: RedisServer) -> None:
    with server.client() as client, client.pipeline(transaction=False) as pipe:
        for i in range(40_000):
            pipe.set(f"padding:{i}", i)
        pipe.execute()


def is_loading(server: RedisServer) -> bool:
    with redis.Redis(port=server.port, retry=Retry(NoBackoff(), 0)) as client:
        try:
            client.get("anything")
        except redis.BusyLoadingError:
            return True
        except redis.ConnectionError:
            pass
    return False


def test_frozen_redis_is_an_error_for_producers_and_a_wait_for_workers(tmp_path: Path) -> None:
    with Stack(tmp_path, connect_timeout=1, read_timeout=2, lease=60, store_timeout=20) as stack:
        stack.sim.knobs(latency_ms={"all": 20})
        worker = stack.worker()
        stack.beat()
        ids = enqueue(stack.producer, 0, 500)
        wait_until(lambda: len(stack.keys()) > 50)
        with stack.redis.frozen(), pytest.raises(StoreUnreachable):
            stack.producer.enqueue(record(500), idempotency_key="patient")  # for as long as a worker tries: 4 times 5 s
        ids.append(stack.producer.enqueue(record(500), idempotency_key="patient").id)
        all_delivered_once(stack, ids)
        assert worker.poll() is None


@contextlib.contextmanager
def busy(server: RedisServer) -> Iterator[None]:
    """Run an endless script from another client, until Redis answers BUSY to all commands."""
    with server.client() as client:
        client.config_set("busy-reply-threshold", 50)
        script = threading.Thread(target=run_for_ever, args=(server,))
        script.start()
        wait_until(lambda: is_busy(client), what="a Redis that is busy")
        try:
            yield
        finally:
            client.script_kill()
            script.join()


def run_for_ever(server: RedisServer) -> None:
    with redis.Redis(port=server.port) as client, contextlib.suppress(redis.RedisError):
        client.eval("while true do end", 0)


def is_busy(client: redis.Redis) -> bool:
    try:
        client.get("anything")
    except redis.ResponseError as error:
        return str(error).startswith("BUSY ")
    return False


def test_a_busy_redis_is_unreachable_to_producers_and_waited_for_by_workers(stack: Stack) -> None:
    worker, beat = stack.worker(), stack.beat()
    ids = enqueue(stack.producer, 0, 50)
    all_delivered_once(stack, ids)
    with busy(stack.redis):
        with pytest.raises(StoreUnreachable, match="Redis is busy"):
            stack.producer.enqueue(record(50), idempotency_key="key-50")
        wait_until(lambda: "BUSY" in stack.logs() or "Redis is busy" in stack.logs(), what="the parts notice")
    ids.append(enqueue_until_accepted(stack.producer, 50))
    all_delivered_once(stack, ids)
    assert (worker.poll(), beat.poll()) == (None, None)


def test_demoted_master_is_an_error_for_producers_and_a_wait_for_workers(stack: Stack) -> None:
    worker = stack.worker()
    stack.beat()
    ids = enqueue(stack.producer, 0, 100)
    all_delivered_once(stack, ids)
    with stack.redis.client() as client:
        client.replicaof("127.0.0.1", free_port())
        with pytest.raises(StoreFull, match="Redis refuses writes: it is a read-only replica"):
            stack.producer.enqueue(record(100))
        wait_until(lambda: "ReadOnlyError" in stack.logs(), what="the worker meets it")
        client.replicaof("NO", "ONE")
    all_delivered_once(stack, ids + enqueue(stack.producer, 100, 200))
    assert worker.poll() is None


def test_full_disk_is_an_error_for_producers_and_a_wait_for_workers(stack: Stack) -> None:
    worker = stack.worker()
    stack.beat()
    ids = enqueue(stack.producer, 0, 100)
    wait_until(lambda: stack.counts().get("delivered"), what="the worker has started")
    with stack.redis.disk_full():
        refused = wait_until(lambda: refusal(stack.producer, ids), what="Redis finds out")
        assert str(refused) == "Redis refuses writes: it cannot write to its disk"
        wait_until(lambda: "MISCONF" in stack.logs() or "cannot write to its disk" in stack.logs())
    wait_until(lambda: accepted(stack.producer, ids), what="Redis writes again")
    wait_until(lambda: stack.counts().get("delivered") == len(ids))
    assert set(stack.keys()) == set(ids)
    assert worker.poll() is None


def refusal(producer: Producer, ids: list[str]) -> StoreFull | None:
    """Enqueue one job; return the error, or None and keep the id."""
    try:
        ids.append(producer.enqueue(record(len(ids))).id)
    except StoreFull as error:
        return error
    return None


def accepted(producer: Producer, ids: list[str]) -> bool:
    return refusal(producer, ids) is None


def test_master_with_too_few_replicas_raises(tmp_path: Path) -> None:
    with (
        running_redis(tmp_path, "--min-replicas-to-write", "1") as url,
        Producer(Settings.load(redis_url=url)) as producer,
        pytest.raises(StoreFull, match="Redis refuses writes: it has too few replicas"),
    ):
        producer.enqueue(record(0))
