"""Check the proxy with which other tests break connections."""

from __future__ import annotations

import asyncio
import socket
import threading
import urllib.request
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from gaugepost_simulator import Simulator
from support.proxy import Proxy


@pytest.fixture
def proxy(redis_url: str) -> Iterator[Proxy]:
    with Proxy(int(urlsplit(redis_url).port or 0)) as proxy:
        yield proxy


@pytest.fixture
def client(proxy: Proxy) -> Iterator[redis.Redis]:
    """Return a client that gives up at the first failure: the proxy is under test."""
    with redis.Redis(port=proxy.port, retry=Retry(NoBackoff(), 0), socket_timeout=5) as client:
        yield client


def increments(message: bytes) -> bool:
    """Return whether a message is an INCR, and not part of a client's handshake."""
    return b"INCR" in message


def direct(url: str) -> redis.Redis:
    return redis.Redis.from_url(url)


def test_everything_passes_in_both_directions_by_default(client: redis.Redis, proxy: Proxy) -> None:
    large = b"x" * 3_000_000
    client.set("large", large)
    assert client.get("large") == large
    assert proxy.cuts == 0


def test_a_lost_request_has_no_effect_and_a_lost_reply_has(client: redis.Redis, proxy: Proxy, redis_url: str) -> None:
    proxy.lose_requests(when=increments)
    with pytest.raises(redis.ConnectionError):
        client.incr("before")
    proxy.lose_replies(when=increments)
    with pytest.raises(redis.ConnectionError):
        client.incr("after")
    assert direct(redis_url).mget("before", "after") == [None, b"1"]
    assert (proxy.cuts, proxy.requests_lost, proxy.replies_lost) == (2, 1, 1)
    assert client.incr("after") == 2, "one was asked for, one was lost"


def test_only_messages_that_match_are_lost_and_no_more_than_asked_for(client: redis.Redis, proxy: Proxy) -> None:
    proxy.lose_replies(2, when=increments)
    client.set("other", 1)
    for _ in range(2):
        with pytest.raises(redis.ConnectionError):
            client.incr("n")
        client.set("other", 2)
    assert client.incr("n") == 3


def test_cut_ends_open_connections_and_accepts_new_ones(client: redis.Redis, proxy: Proxy) -> None:
    name = client.client_id()
    assert proxy.cut() == 1
    assert client.client_id() > name, "it has seen that its connection was gone, and has made another"


def test_refused_connections_are_refused_until_it_accepts_again(client: redis.Redis, proxy: Proxy) -> None:
    client.ping()
    proxy.refuse()
    assert client.ping(), "the connection that was there stays"
    proxy.cut()
    for _ in range(3):
        with pytest.raises(redis.ConnectionError):
            client.ping()
    proxy.accept()
    assert client.ping()


def test_absent_target_is_an_error_until_it_returns(client: redis.Redis, proxy: Proxy) -> None:
    there, proxy.target_port = proxy.target_port, 1
    with pytest.raises(redis.ConnectionError):
        client.ping()
    proxy.target_port = there
    assert client.ping()


def test_delay_beyond_the_timeout_times_out_until_calm(client: redis.Redis, proxy: Proxy) -> None:
    proxy.delay(2)
    impatient = redis.Redis(port=proxy.port, retry=Retry(NoBackoff(), 0), socket_timeout=0.1)
    with impatient, pytest.raises(redis.TimeoutError):
        impatient.ping()
    proxy.calm()
    assert client.ping()


@pytest.mark.starts_process
def test_http_requests_are_lost_before_or_after_their_effect() -> None:
    form = b"grant_type=client_credentials&client_id=eu-client&client_secret=eu-secret"
    with Simulator() as sim, Proxy(urlsplit(sim.url).port or 0) as proxy:

        def fetch() -> int:
            url = f"http://127.0.0.1:{proxy.port}/auth/eu/oauth2/token"
            with urllib.request.urlopen(url, form, timeout=5) as answer:
                assert answer.status == 200
            return int(sim.state()["tokens_issued"]["eu"])

        assert fetch() == 1
        for lose, issued in ((proxy.lose_requests, 1), (proxy.lose_replies, 2)):
            lose()
            with pytest.raises(OSError, match=r"reset|closed"):
                fetch()
            assert sim.state()["tokens_issued"]["eu"] == issued
        assert (proxy.requests_lost, proxy.replies_lost) == (1, 1)
        assert fetch() == 3


def test_bytes_dropped_by_a_cut_are_still_recorded(proxy: Proxy) -> None:
    seen: list[bytes] = []
    proxy.on_request = seen.append
    busy, sent = threading.Event(), threading.Event()
    with socket.create_connection(("127.0.0.1", proxy.port)) as sock:
        sock.sendall(b"PING\r\n")
        assert sock.recv(100) == b"+PONG\r\n"

        async def cut_when_sent() -> int:
            busy.set()
            sent.wait(10)  # the loop does not read its sockets meanwhile
            return await proxy._cut()

        cut = asyncio.run_coroutine_threadsafe(cut_when_sent(), proxy._loop)
        assert busy.wait(10)
        sock.sendall(b"INCR unread\r\n")
        sent.set()
        assert cut.result(10) == 1
    assert seen == [b"PING\r\n", b"INCR unread\r\n"]
