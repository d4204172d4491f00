"""Break connections to Redis: no call changes anything twice, and no job is lost.

Each test cuts real connections under real workers.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import pytest
import redis

from gaugepost import Region, Response
from gaugepost.ledger.scripts import load_scripts
from support.proxy import Proxy
from support.redis_server import RedisServer
from support.redis_trouble import SHORT, all_delivered_once, enqueue_until_accepted, record
from support.stack import Stack
from support.wait import wait_until


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with Stack(tmp_path, **SHORT) as stack:
        yield stack


def calls(script: str) -> Callable[[bytes], bool]:
    sha = hashlib.sha1(load_scripts()[script].encode()).hexdigest().encode()
    return lambda message: sha in message[:200]


@pytest.mark.parametrize("effect", ["not done", "done"])
def test_a_connection_cut_in_the_middle_of_any_call_changes_nothing(tmp_path: Path, effect: str) -> None:
    server = RedisServer(tmp_path).start()
    with (
        Proxy(server.port) as proxy,
        Stack(tmp_path, redis=server, redis_url=f"redis://127.0.0.1:{proxy.port}/0", **SHORT) as stack,
    ):
        with server.client() as client:
            for text in load_scripts().values():
                client.script_load(text)
        scripts = ("enqueue", "claim", "token", "token_put", "mark", "settle")
        for script in scripts:
            (proxy.lose_requests if effect == "not done" else proxy.lose_replies)(2, calls(script))
        stack.worker()
        stack.beat()
        ids = [stack.producer.enqueue(record(i)).id for i in range(60)]
        ids += [stack.producer.enqueue(response(i)).id for i in range(20)]
        all_delivered_once(stack, ids)
        lost = proxy.requests_lost + proxy.replies_lost
        assert lost >= 2 * len(scripts) - 1  # a token is put once, and its call is repeated only if it was cut
        for job_id in ids:
            assert len(stack.producer.job(job_id).history.attempts()) == 1


def test_jobs_of_a_claim_without_an_answer_wait_for_no_lease(tmp_path: Path) -> None:
    server = RedisServer(tmp_path).start()
    with (
        Proxy(server.port) as proxy,
        Stack(tmp_path, redis=server, redis_url=f"redis://127.0.0.1:{proxy.port}/0", lease=600) as stack,
    ):
        stack.worker()
        first = stack.producer.enqueue(record(0)).id
        all_delivered_once(stack, [first])  # it knows the scripts now, and rests
        proxy.lose_replies(10, calls("claim"))  # more than the client repeats a call
        ids = [stack.producer.enqueue(record(i)).id for i in range(1, 4)]
        all_delivered_once(stack, [first, *ids])
        assert proxy.replies_lost == 10


def response(i: int) -> Response:
    return Response(region=Region.EU, fields={"Email": f"person{i}@example.net"})


class Nuisance(threading.Thread):
    """Disturb Redis again and again."""

    def __init__(self, stack: Stack, do: Callable[[redis.Redis], object], every_s: float) -> None:
        super().__init__(daemon=True)
        self._stack, self._do, self._every_s = stack, do, every_s
        self._over = threading.Event()
        self.times = 0

    def run(self) -> None:
        with self._stack.redis.client() as client:
            while not self._over.wait(self._every_s):
                self._do(client)
                self.times += 1

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()


def test_scripts_flushed_all_the_time_are_no_trouble(stack: Stack) -> None:
    stack.worker()
    stack.beat()
    with Nuisance(stack, lambda client: client.script_flush(), 0.001) as nuisance:
        ids = [stack.producer.enqueue(record(i)).id for i in range(300)]  # not one error
        all_delivered_once(stack, ids)
    assert nuisance.times > 50


@pytest.fixture
def patient_stack(tmp_path: Path) -> Iterator[Stack]:
    """Start a stack with long leases and timeouts, so that a stalled host causes no rescue and no late answer."""
    with Stack(tmp_path, lease=600) as stack:
        yield stack


def test_all_connections_killed_again_and_again_lose_and_double_nothing(patient_stack: Stack) -> None:
    stack = patient_stack
    stack.sim.knobs(latency_ms={"all": 20})
    worker = stack.worker()
    beat = stack.beat()

    def kill_all(client: redis.Redis) -> None:
        client.client_kill_filter(_type="normal", skipme=True)
        client.client_kill_filter(_type="pubsub", skipme=True)

    with Nuisance(stack, kill_all, 0.4) as nuisance:
        ids = [enqueue_until_accepted(stack.producer, i) for i in range(400)]
        wait_until(lambda: nuisance.times > 10)
    all_delivered_once(stack, ids)
    assert (worker.poll(), beat.poll()) == (None, None)
