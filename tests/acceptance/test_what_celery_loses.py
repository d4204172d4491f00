"""Repeat with gaugepost the experiments in which stock Celery on Redis loses or doubles work.

Each test says what happened to Celery 5.7 alone. `ops/decisions/0002-celery-settings.md` has the measurements.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gaugepost import JobState, Producer, Record, Region, Response, Settings
from gaugepost.ledger.scripts import load_scripts
from support.bells import bell
from support.proxy import Proxy
from support.redis_server import RedisServer
from support.stack import Stack, kill
from support.wait import wait_until

SHORT = {"connect_timeout": 1, "read_timeout": 6, "lease": 8}


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with Stack(tmp_path, **SHORT) as stack:
        yield stack


def record(i: int) -> Record:
    return Record(region=Region.EU, configuration="multi-object", record={"Email": f"person{i}@example.net"})


def enqueue(stack: Stack, jobs: int) -> list[str]:
    return [receipt.id for receipt in stack.producer.enqueue_many(record(i) for i in range(jobs))]


def all_delivered(stack: Stack, ids: list[str]) -> dict[str, int]:
    """Wait until all jobs are delivered; return how often each was sent. Fail on a missing or an additional job."""
    wait_until(lambda: stack.counts().get("delivered") == len(ids), what="all delivered")
    assert set(stack.keys()) == set(ids)
    return stack.keys()


def under_way(stack: Stack, jobs: int) -> Callable[[], bool]:
    return lambda: bool(stack.counts().get("sending") == jobs)


def first_delivered(stack: Stack) -> str:
    """Deliver a first job, so that jobs of its configuration are sent in parallel; return its id."""
    job = stack.producer.enqueue(record(10_000))
    job.result(timeout=60)
    return job.id


def idle(stack: Stack) -> None:
    """Wait until the worker has delivered its first job and its BRPOP waits for bells."""
    first_delivered(stack)
    with stack.redis.client() as client:
        wait_until(lambda: any(one["cmd"] == "brpop" for one in client.client_list()))


def test_bell_lost_with_its_worker_is_rung_again(stack: Stack) -> None:
    """SIGSTOP, publish, kill -9: stock Celery lost 1 message of 3 for ever."""
    worker = stack.worker()
    idle(stack)  # no beat runs yet: the frozen worker could pop its tick in place of the bell
    os.killpg(worker.pid, signal.SIGSTOP)
    first = stack.producer.enqueue(record(0)).id
    with stack.redis.client() as client:
        wait_until(lambda: client.llen("gaugepost.eu") == 0, what="its bell is popped into the worker's socket")
        kill(worker)
        assert client.llen("gaugepost.eu") == 0, "the bell is still in the queue: the test proves nothing"
    stack.worker()
    stack.beat()
    wait_until(lambda: stack.counts().get("delivered") == 2)
    assert stack.keys()[first] == 1


def test_lost_bells_stall_no_region(stack: Stack) -> None:
    """A region with ready jobs and a live worker continues when its bells are lost."""
    stack.worker()
    stack.beat()
    over = threading.Event()

    def steal() -> None:
        with stack.redis.client() as client:
            while not over.wait(0.3):
                client.delete("gaugepost.eu", "gaugepost.eu.urgent")

    thief = threading.Thread(target=steal)
    thief.start()
    try:
        ids = [stack.producer.enqueue(record(i)).id for i in range(100)]
        assert all_delivered(stack, ids) == dict.fromkeys(ids, 1)
    finally:
        over.set()
        thief.join()


def test_dropped_consumer_socket_repeats_no_job(stack: Stack) -> None:
    """CLIENT KILL of the consumer's socket with three jobs running: six runs in stock Celery."""
    stack.sim.knobs(latency_ms={"all": 2000})
    worker = stack.worker()
    stack.beat()
    ids = [first_delivered(stack), *enqueue(stack, 3)]
    wait_until(under_way(stack, 3))
    with stack.redis.client() as client:
        consumers = wait_until(lambda: [one["id"] for one in client.client_list() if one["cmd"] == "brpop"])
        for consumer in consumers:
            client.client_kill_filter(_id=consumer)
    assert all_delivered(stack, ids) == dict.fromkeys(ids, 1)
    assert worker.poll() is None


def test_redis_restart_under_load_ends_no_worker_and_repeats_no_job(stack: Stack) -> None:
    """Celery 5.7.0's process ends at a Redis restart if it holds any unacknowledged message."""
    stack.sim.knobs(latency_ms={"all": 2000})
    worker = stack.worker()
    stack.beat()
    ids = [first_delivered(stack), *enqueue(stack, 3)]
    wait_until(under_way(stack, 3))
    stack.redis.kill()
    stack.redis.start()
    assert all_delivered(stack, ids) == dict.fromkeys(ids, 1)
    assert worker.poll() is None


def test_no_message_stays_unacknowledged(stack: Stack) -> None:
    """A task longer than the visibility timeout ran four times; the shortest one on a Redis wins."""
    stack.sim.knobs(latency_ms={"all": 2000})
    with stack.redis.client() as client:
        theirs = [json.loads(bell("theirs", "another.application")), "", "theirs"]
        client.hset("unacked", "tag", json.dumps(theirs))
        client.zadd("unacked_index", {"tag": 0})  # taken in 1970: whatever the timeout, stock kombu restores it
        stack.worker()
        stack.beat()
        ids = [first_delivered(stack), *enqueue(stack, 3)]
        wait_until(under_way(stack, 3))
        assert (client.hkeys("unacked"), client.zrange("unacked_index", 0, -1)) == ([b"tag"], [b"tag"])
        assert all_delivered(stack, ids) == dict.fromkeys(ids, 1)
        assert (client.hkeys("unacked"), client.llen("theirs")) == ([b"tag"], 0)


def test_waiting_job_is_in_redis_and_survives_its_worker(tmp_path: Path) -> None:
    """Celery keeps a countdown in a worker's memory; one longer than the visibility timeout ran five times."""
    with Stack(tmp_path, **SHORT, backoff__server_error="8s") as stack:
        stack.sim.fault("status", endpoint="records", code=503, times=1)
        workers = [stack.worker(), stack.worker()]
        stack.beat()
        job = stack.producer.enqueue(record(0))
        wait_until(lambda: job.state() is JobState.PARKED)
        for worker in workers:
            kill(worker)
        stack.worker()
        job.result(timeout=60)
        assert stack.keys() == {job.id: 1}
        assert [attempt.verdict for attempt in stack.producer.job(job.id).history.attempts()] == [
            "server_error",
            "delivered",
        ]


def test_job_of_a_dead_worker_is_retried_a_lease_later(stack: Stack) -> None:
    """With reject_on_worker_lost a job that kills its worker ran 99 times in 10 s; without, it was dropped."""
    stack.sim.knobs(latency_ms={"all": 2000})
    worker = stack.worker()
    stack.beat()
    job = stack.producer.enqueue(record(0))
    wait_until(under_way(stack, 1))
    kill(worker)
    stack.worker()
    job.result(timeout=60)
    verdicts = [attempt.verdict for attempt in stack.producer.job(job.id).history.attempts()]
    assert verdicts == ["lost_answer", "delivered"]
    assert stack.keys()[job.id] <= 2


def test_unknown_task_costs_no_job_and_ticks_do_not_accumulate(stack: Stack) -> None:
    """Celery drops an unknown task or a broken message with its work. Expired messages accumulate without a worker."""
    stack.beat()
    ids = enqueue(stack, 10)
    with stack.redis.client() as client:
        client.delete("gaugepost.eu")  # its bell, in place of which come messages that Celery throws away
        client.lpush("gaugepost.eu", bell("gaugepost.eu", "gaugepost.of_a_later_version"), "no message at all")
        wait_until(lambda: client.llen("gaugepost.eu.ticks") == 8, what="the queue has as many ticks as it may have")
        wait_until(lambda: client.llen("gaugepost.us.ticks") == 8)
        assert client.llen("gaugepost.eu.ticks") == 8
    worker = stack.worker()
    assert all_delivered(stack, ids) == dict.fromkeys(ids, 1)
    assert worker.poll() is None


def test_an_enqueue_whose_answer_was_lost_is_one_job(tmp_path: Path) -> None:
    """Publishing again after a lost reply puts two messages with one id on the broker."""
    sha = hashlib.sha1(load_scripts()["enqueue"].encode()).hexdigest().encode()
    server = RedisServer(tmp_path).start()
    try:
        with Proxy(server.port) as proxy, server.client() as client:
            settings = Settings.load(redis_url=f"redis://127.0.0.1:{proxy.port}/0")
            with Producer(settings) as producer:
                producer.enqueue(record(0))
                proxy.lose_replies(2, lambda message: sha in message[:200])
                producer.enqueue(record(1))
                assert proxy.replies_lost == 2
                assert producer.ledger(Region.EU).summary()["queued"] == 2
            assert client.llen("gaugepost.eu") == 1
    finally:
        server.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
def test_stopped_worker_ends_soon_and_loses_no_job(stack: Stack, number: signal.Signals) -> None:
    """A cold shutdown acknowledged unfinished tasks on gevent; prefork hung at a warm one in 3 of 37 rounds."""
    stack.sim.knobs(latency_ms={"all": 300})
    worker = stack.worker()
    stack.beat()
    ids = enqueue(stack, 300)
    wait_until(lambda: stack.counts().get("delivered", 0) > 20)
    worker.send_signal(number)
    worker.wait(timeout=60)
    assert len(stack.keys()) < 300, "it ended too late to prove anything"
    stack.worker()
    for job_id, times in all_delivered(stack, ids).items():
        verdicts = [attempt.verdict for attempt in stack.producer.job(job_id).history.attempts()] if times > 1 else []
        assert times == 1 or "lost_answer" in verdicts


def test_response_is_never_sent_twice(stack: Stack) -> None:
    """A job that must not be sent twice is `unknown` after its worker died, and waits for an operator."""
    stack.sim.knobs(latency_ms={"all": 2000})
    worker = stack.worker()
    stack.beat()
    job = stack.producer.enqueue(Response(region=Region.EU, fields={"Email": "lee@example.net"}))
    with stack.redis.client() as client:
        wait_until(lambda: client.hget(f"gaugepost:{{eu}}:job:{job.id}", "marked"))
    kill(worker)
    stack.worker()
    wait_until(lambda: job.state() is JobState.UNKNOWN)
    assert stack.keys() in ({job.id: 1}, {}), "the kill may have come between the mark and the first byte"
    assert stack.producer.job(job.id).history.attempts()[-1].message == "the worker that held it was lost"
