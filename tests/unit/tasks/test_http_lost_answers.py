"""The client after its first byte: which answers are lost, cut or read to their end."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest

from gaugepost_tasks.http import HttpClient
from gaugepost_tasks.http.body import Body
from gaugepost_tasks.http.exchange import Deadline
from support.faulty_server import Server, Step, ok, resets, says, stalls, trickles
from support.http_calls import FULL, SECRET, exchange, put

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("step", "text"),
    [
        (says(b"", go_on=False), "closed without an answer"),
        (resets(), "reset"),
        (stalls(), "timed out"),
        (says(b"HTTP/1.1 2", go_on=False), ""),
        (says(b"\x16\x03nonsense\r\n\r\n", go_on=False), ""),
        (says(FULL + b"short", go_on=False), "shorter than announced"),
        (resets(FULL + b"short"), ""),
        (stalls(FULL + b"short"), "timed out"),
    ],
)
def test_failure_after_the_first_byte_is_a_lost_answer(client: HttpClient, step: Step, text: str) -> None:
    with Server(step) as server:
        answer = exchange(client, server)
        assert len(server.requests) == 1
    assert answer.failure == "lost_answer"
    assert text in answer.detail


@pytest.mark.parametrize("raw", [b"HTTP/1.1 200 OK\r\nX: ", FULL.replace(b"10", b"9999"), b"HTTP/1.1 200 OK\r\n\r\n"])
def test_an_answer_that_trickles_has_a_total_deadline(new_client: Callable[..., HttpClient], raw: bytes) -> None:
    started = time.monotonic()
    with Server(trickles(raw)) as server:
        answer = new_client(0.05, each_read_s := 1, 1).exchange(put(server.url), SECRET)
    assert (answer.failure, answer.detail) == ("lost_answer", "timed out (TimeoutError)")
    assert time.monotonic() - started > each_read_s


def test_server_that_does_not_read_is_a_lost_answer(new_client: Callable[..., HttpClient]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
        answer = new_client(0.2, 0.2, 1).exchange(put(url, b"x" * 20_000_000), SECRET)
    assert answer.failure == "lost_answer"


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n"])
def test_too_large_answer_is_truncated(client: HttpClient, head: bytes) -> None:
    with Server(says(head + b"x" * 1_000_000, go_on=False), ok()) as server:
        answer = exchange(client, server)
        assert exchange(client, server).body == b"fine"
    assert (answer.status, answer.truncated, answer.failure) == (200, True, None)
    assert len(answer.body) == 100_000
    assert answer.detail == "the answer is larger than 100000 bytes"


def test_one_exchange_may_read_a_larger_answer(client: HttpClient) -> None:
    with Server(ok(b"x" * 150_000), ok(b"x" * 150_000)) as server:
        large = client.exchange(put(server.url), SECRET, max_answer_bytes=200_000)
        cut = client.exchange(put(server.url), SECRET)
    assert (len(large.body), large.truncated) == (150_000, False)
    assert (len(cut.body), cut.truncated) == (100_000, True)


def test_a_trailer_is_not_a_header(client: HttpClient) -> None:
    raw = b"HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nRetry-After: 86400\r\n\r\n"
    with Server(says(raw)) as server:
        answer = exchange(client, server)
    assert (answer.body, "retry-after" in answer.headers) == (b"{}", False)


def test_interim_answers_are_skipped(client: HttpClient) -> None:
    early = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    with Server(says(early + FULL + b"0123456789")) as server:
        answer = exchange(client, server)
    assert (answer.status, answer.body, "link" in answer.headers) == (200, b"0123456789", False)


def test_library_fault_is_a_lost_answer_only_after_the_first_byte(
    new_client: Callable[..., HttpClient], client: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def faulty(*_: object, **__: object) -> None:
        raise AttributeError

    with Server(ok(), ok()) as server:
        with monkeypatch.context() as patched:
            patched.setattr(Body, "check_framing", faulty)
            answer = exchange(client, server)
        assert (answer.failure, answer.detail) == ("lost_answer", "AttributeError")
        monkeypatch.setattr(socket, "getaddrinfo", faulty)
        with pytest.raises(AttributeError):
            exchange(new_client(1, 1, 1), server)


def test_keyboard_interrupt_is_raised_and_closes_the_connection(
    client: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with Server(ok(), ok()) as server:
        with monkeypatch.context() as patched:
            patched.setattr(Body, "check_framing", stop)
            with pytest.raises(KeyboardInterrupt):
                exchange(client, server)
        assert exchange(client, server).body == b"fine"
    assert server.connections == 2


def test_nothing_is_read_after_the_deadline() -> None:
    with pytest.raises(TimeoutError):
        Deadline(0, 1).time_left()
