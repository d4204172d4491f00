"""Check that no caller gets the answer to another caller's command, whatever happens in the middle of a command."""

from __future__ import annotations

import contextlib
import linecache
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import SentinelConnectionPool

from gaugepost.ledger.connection_pool import Connections
from support.redis_server import RedisServer


class Alarm(Exception):  # noqa: N818
    """The error that the handler of a signal raises."""


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, retry=Retry(NoBackoff(), 1)) as client:
        yield client


def echoes(pool: Connections, texts: range) -> bool:
    return all(pool.exchange(["ECHO", str(text)]) == str(text).encode() for text in texts)


def connections(client: redis.Redis) -> int:
    return len(client.client_list())


def test_pool_opens_no_more_connections_than_concurrent_callers(client: redis.Redis) -> None:
    pool, before = Connections(client), connections(client)
    assert echoes(pool, range(100))
    assert connections(client) == before + 1
    found: list[bool] = []
    threads = [
        threading.Thread(target=lambda n=n: found.append(echoes(pool, range(n * 1000, n * 1000 + 300))))  # type: ignore[misc]
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 8
    assert connections(client) <= before + 8


def test_an_error_of_redis_keeps_the_connection(client: redis.Redis) -> None:
    pool = Connections(client)
    assert echoes(pool, range(1))
    before = connections(client)
    for _ in range(3):
        with pytest.raises(redis.ResponseError):
            pool.exchange(["NO-SUCH-COMMAND"])
    assert echoes(pool, range(9))
    assert connections(client) == before


def test_connection_closed_while_idle_is_reopened_without_a_retry(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gaugepost.ledger.connection_pool.CHECK_AFTER_S", 0)
    with (
        redis.Redis.from_url(redis_url, retry=Retry(NoBackoff(), 0)) as client,
        redis.Redis.from_url(redis_url) as other,
    ):
        pool = Connections(client)
        for _ in range(5):
            assert echoes(pool, range(3))
            other.client_kill_filter(_type="normal", skipme=True)


@pytest.mark.parametrize("most", [1, 8])
def test_finished_callers_leave_their_connections_to_others(redis_url: str, most: int) -> None:
    with redis.Redis.from_url(redis_url, max_connections=most) as client:
        pool, all_there = Connections(client), threading.Barrier(most)

        def ask() -> None:
            all_there.wait()
            assert pool.exchange(["BLPOP", "nothing", "0.05"]) is None

        threads = [threading.Thread(target=ask) for _ in range(most)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert client.ping()
        assert echoes(pool, range(10))


class Sentinels:
    """Names the master, as a Sentinel client does."""

    def __init__(self, master: RedisServer) -> None:
        self.master = master

    def discover_master(self, _: str) -> tuple[str, int]:
        return "127.0.0.1", self.master.port


@pytest.fixture
def two_servers(tmp_path: Path) -> Iterator[tuple[RedisServer, RedisServer]]:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    servers = RedisServer(tmp_path / "a").start(), RedisServer(tmp_path / "b").start()
    yield servers
    for server in servers:
        server.stop()


@pytest.mark.starts_process
@pytest.mark.parametrize("end", ["killed", "demoted"])
def test_pool_finds_the_new_master_after_a_fail_over(two_servers: tuple[RedisServer, RedisServer], end: str) -> None:
    first, second = two_servers
    sentinels = Sentinels(first)
    redis_pool = SentinelConnectionPool("mymaster", sentinels, retry=Retry(NoBackoff(), 0))
    with redis.Redis(connection_pool=redis_pool) as client:
        pool = Connections(client)
        pool.exchange(["SET", "where", "first"])
        sentinels.master = second
        if end == "killed":
            first.kill()
        else:
            with first.client() as there:
                there.replicaof("127.0.0.1", str(second.port))
        for _ in range(3):
            with contextlib.suppress(redis.ConnectionError):
                pool.exchange(["SET", "where", "second"])
        with second.client() as there:
            assert there.get("where") == b"second"


def test_signal_while_waiting_for_an_answer_mixes_up_no_answers(client: redis.Redis) -> None:
    pool = Connections(client)

    def ring(*_: object) -> NoReturn:
        raise Alarm

    before = signal.signal(signal.SIGALRM, ring)
    try:
        for _ in range(5):
            assert echoes(pool, range(2))
            with pytest.raises(Alarm):  # noqa: PT012 - the alarm may strike as soon as it is set
                signal.setitimer(signal.ITIMER_REAL, 0.05)
                pool.exchange(["BLPOP", "held", 0])
            client.rpush("held", "of the one who was interrupted")
            assert echoes(pool, range(10))
            client.delete("held")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_signal_between_command_and_answer_mixes_up_no_answers(client: redis.Redis) -> None:
    pool, reading = Connections(client), 0

    def strike(frame: Any, event: str, _: object) -> Any:
        nonlocal reading
        if (
            event == "line"
            and frame.f_code.co_name == "_ask"
            and "read_response" in linecache.getline(frame.f_code.co_filename, frame.f_lineno)
        ):
            reading += 1
            raise Alarm
        return strike

    assert echoes(pool, range(2))
    before = sys.gettrace()
    sys.settrace(strike)
    try:
        with pytest.raises(Alarm):
            pool.exchange(["ECHO", "of the one who was interrupted"])
    finally:
        sys.settrace(before)
    assert reading == 1
    assert echoes(pool, range(10))


def test_forked_child_opens_its_own_connections(client: redis.Redis) -> None:
    pool = Connections(client)
    assert echoes(pool, range(3))
    children = []
    for n in range(1, 4):
        child = os.fork()
        if child == 0:
            fine = False
            try:
                fine = echoes(pool, range(n * 10_000, n * 10_000 + 500))
            finally:
                os._exit(0 if fine else 1)
        children.append(child)
    assert echoes(pool, range(500))
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0, 0]
    assert echoes(pool, range(3))
