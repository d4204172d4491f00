"""The client before its first byte: what it does not send, and the hook that it calls just before."""

from __future__ import annotations

import logging
import socket
import time
from typing import TYPE_CHECKING, Any

import pytest
import requests

from gaugepost_tasks.http import HttpClient
from gaugepost_tasks.http import exchange as exchanges
from gaugepost_tasks.http.exchange import Deadline
from support.faulty_server import Server, ok
from support.http_calls import SECRET, exchange, put

if TYPE_CHECKING:
    from collections.abc import Callable


def test_refused_connection_is_unreachable(client: HttpClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
    answer = client.exchange(put(url), SECRET)
    assert (answer.failure, answer.status) == ("unreachable", None)
    assert answer.detail == "connection refused (ConnectionRefusedError)"


def test_a_host_that_does_not_take_the_connection_is_unreachable(new_client: Callable[..., HttpClient]) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, socket.socket() as first, socket.socket() as second:
        for other in (first, second):
            other.setblocking(False)
            other.connect_ex(full.getsockname())
        started = time.monotonic()
        answer = new_client(0.2, 5, 1).exchange(put(f"http://127.0.0.1:{full.getsockname()[1]}/"), SECRET)
    assert answer.failure == "unreachable"
    assert time.monotonic() - started < 10


def test_unknown_host_name_is_unreachable(client: HttpClient) -> None:
    answer = client.exchange(put("http://no-such-host.invalid/"), SECRET)
    assert answer.failure == "unreachable"
    assert "host name not found" in answer.detail


@pytest.mark.parametrize("url", ["http://", "http://[bad/", "ftp://127.0.0.1/", "http://127.0.0.1:99999/"])
def test_a_url_that_cannot_be_called_is_unreachable(client: HttpClient, url: str) -> None:
    assert client.exchange(put(url), SECRET).failure == "unreachable"


@pytest.mark.parametrize("credential", ["Bearer s3cr3t\r\nX: y", "Bearer s3cr3t☃", "Bearer s3cr3t\n"])
def test_credential_with_line_break_is_neither_sent_nor_shown(
    client: HttpClient, credential: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with Server(ok()) as server:
        answer = client.exchange(put(server.url), credential)
    assert (answer.failure, server.requests) == ("unreachable", [])
    assert "s3cr3t" not in answer.detail + caplog.text


class ShortDeadline(Deadline):
    """A deadline whose remaining time a test sets."""

    created: list[ShortDeadline]

    def __init__(self, total: float, each: float) -> None:
        super().__init__(total, each)
        ShortDeadline.created = [self]

    @classmethod
    def set_time_left(cls, seconds: float) -> None:
        cls.created[0]._ends = time.monotonic() + seconds


def test_connecting_that_took_too_long_sends_nothing(client: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
    hook_calls = []

    def slow(*where: Any, **how: Any) -> Any:
        ShortDeadline.set_time_left(0.1)
        return found(*where, **how)

    found = socket.getaddrinfo
    monkeypatch.setattr(exchanges, "Deadline", ShortDeadline)
    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with Server(ok()) as server:
        answer = client.exchange(put(server.url), SECRET, lambda: hook_calls.append(1))
    assert (answer.failure, server.requests, hook_calls) == ("unreachable", [], [])


# Before the first byte: the hook.


def test_hook_runs_once_before_the_first_byte(client: HttpClient) -> None:
    with Server(ok(), ok()) as server:
        seen = []
        for _ in range(2):
            request = put(server.url, b"x" * 50_000)
            client.exchange(request, SECRET, lambda: seen.append(len(server.requests)))
    assert seen == [0, 1]


@pytest.mark.parametrize(
    "error", [RuntimeError("no slot"), BrokenPipeError(), TimeoutError(), KeyboardInterrupt(), requests.ReadTimeout()]
)
def test_exception_of_hook_is_raised_unchanged_and_nothing_is_sent(client: HttpClient, error: BaseException) -> None:
    def refuse() -> None:
        raise error

    with Server(ok()) as server:
        with pytest.raises(type(error)) as caught:
            client.exchange(put(server.url), SECRET, refuse)
        assert caught.value is error
        assert server.requests == []
        assert exchange(client, server).status == 200


def test_hook_does_not_run_without_a_connection(client: HttpClient) -> None:
    def never() -> None:
        raise AssertionError

    assert client.exchange(put("http://127.0.0.1:1/"), SECRET, never).failure == "unreachable"


def test_hook_that_returns_too_late_sends_nothing(client: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def late() -> None:
        ShortDeadline.set_time_left(-1)

    monkeypatch.setattr(exchanges, "Deadline", ShortDeadline)
    with Server(ok()) as server:
        assert client.exchange(put(server.url), SECRET, late).failure == "unreachable"
    assert server.requests == []


def test_connection_closed_during_the_hook_is_replaced(client: HttpClient) -> None:
    hook_calls = []
    with Server(ok(), ok()) as server:

        def hang_up() -> None:
            hook_calls.append(1)
            server.hang_up()

        assert exchange(client, server).body == b"fine"
        assert client.exchange(put(server.url), SECRET, hang_up).body == b"fine"
    assert (len(hook_calls), server.connections, len(server.requests)) == (1, 2, 2)


def test_server_gone_after_the_hook_is_unreachable(client: HttpClient) -> None:
    with Server(ok(), ok()) as server:
        assert exchange(client, server).body == b"fine"
        answer = client.exchange(put(server.url), SECRET, server.close)
    assert (answer.failure, len(server.requests)) == ("unreachable", 1)
