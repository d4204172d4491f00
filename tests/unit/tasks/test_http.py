"""The client against a real server that fails in every way: was a byte sent or not?"""

from __future__ import annotations

import gzip
import logging
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import requests

from gaugepost_tasks.http import HttpClient, session
from gaugepost_tasks.http import exchange as exchanges
from gaugepost_tasks.http.body import Body
from gaugepost_tasks.http.exchange import Deadline
from gaugepost_tasks.http_messages import Request
from support.faulty_server import Server, Step, ok, resets, says, stalls, trickles

if TYPE_CHECKING:
    from collections.abc import Callable

    from gaugepost_tasks.http_messages import Answer


SECRET = "Bearer s3cr3t"
FULL = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"


@pytest.fixture
def client(new_client: Callable[..., HttpClient]) -> HttpClient:
    return new_client(2, 2, 4, max_answer_bytes=100_000)


def put(url: str, body: bytes = b"body", method: str = "PUT") -> Request:
    return Request(method, url, {"Idempotency-Key": "job-1", "Accept": "application/json"}, body, "bearer")


def exchange(client: HttpClient, server: Server, **more: object) -> Answer:
    return client.exchange(put(server.url, **more), SECRET)


# Requests and answers.


def test_whole_answer_is_returned(client: HttpClient) -> None:
    with Server(says(b"HTTP/1.1 422 No\r\nX-One: 1\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\n{}")) as server:
        answer = exchange(client, server)
    assert (answer.status, answer.body, answer.failure, answer.truncated) == (422, b"{}", None, False)
    assert (answer.headers["retry-after"], answer.headers["x-one"]) == ("7", "1")
    assert 0 <= answer.ms < 1000


def test_request_has_credential_and_user_agent(client: HttpClient) -> None:
    with Server(ok()) as server:
        exchange(client, server, body=b"x" * 100_000)
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    lines = head.decode().lower().split("\r\n")
    assert lines[0] == "put /path http/1.1"
    assert body == b"x" * 100_000
    assert "authorization: bearer s3cr3t" in lines
    assert "idempotency-key: job-1" in lines
    assert "content-length: 100000" in lines
    assert any(line.startswith("user-agent: gaugepost/") for line in lines)
    assert not any(line.startswith("cookie") for line in lines)


def test_a_request_without_body_or_credential_has_neither(client: HttpClient) -> None:
    with Server(ok()) as server:
        client.exchange(put(server.url, b"", "DELETE"), "")
    head = server.requests[0].lower()
    assert head.startswith(b"delete ")
    assert not any(name in head for name in (b"authorization", b"content-length", b"transfer-encoding"))


def test_connections_are_kept_and_cookies_are_not(client: HttpClient) -> None:
    cookie = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"
    with Server(says(cookie), ok(), ok()) as server:
        statuses = [exchange(client, server).status for _ in range(3)]
    assert (statuses, server.connections) == ([200] * 3, 1)
    assert not any(b"cookie" in raw.lower() for raw in server.requests)


def test_a_connection_idle_for_too_long_is_not_used_again(client: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchanges, "MAX_IDLE_S", -1)
    with Server(ok(), ok()) as server:
        assert [exchange(client, server).body for _ in range(2)] == [b"fine"] * 2
    assert server.connections == 2


def test_a_kept_connection_that_the_server_closed_costs_nothing(client: HttpClient) -> None:
    with Server(ok(go_on=False), ok()) as server:
        first = exchange(client, server)
        for thread in list(server._threads)[1:]:
            thread.join(5)
        assert [first.failure, exchange(client, server).failure] == [None, None]
    assert server.connections == 2


def test_idle_connection_that_breaks_during_a_request_is_a_lost_answer(client: HttpClient) -> None:
    with Server(ok(), resets(), ok()) as server:
        failures = [exchange(client, server).failure for _ in range(3)]
    assert failures == [None, "lost_answer", None]
    assert len(server.requests) == 3


def test_redirects_are_answers_and_are_not_followed(client: HttpClient) -> None:
    for location in (b"http://127.0.0.1:1/elsewhere", b"no://[bad"):
        with Server(says(b"HTTP/1.1 307 X\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % location)) as server:
            assert exchange(client, server).status == 307
        assert len(server.requests) == 1


def test_proxies_of_the_environment_are_ignored(client: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "")
    with Server(ok()) as server:
        assert exchange(client, server).status == 200


def test_compressed_answer_is_decompressed(client: HttpClient) -> None:
    packed = gzip.compress(b"fine")
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    with Server(says(head + packed), says(head + b"x" * len(packed), go_on=False)) as server:
        assert exchange(client, server).body == b"fine"
        assert exchange(client, server).failure == "lost_answer"
    assert b"accept-encoding: identity" in server.requests[0].lower()


def test_a_chunked_answer_is_read_to_its_end(client: HttpClient) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with Server(says(head + b"4\r\nfine\r\n0\r\n\r\n"), says(head + b"4\r\nfi", go_on=False)) as server:
        assert exchange(client, server).body == b"fine"
        assert exchange(client, server).failure == "lost_answer"


def test_an_answer_without_a_length_ends_with_its_connection(client: HttpClient) -> None:
    with Server(says(b"HTTP/1.1 200 OK\r\n\r\nfine", go_on=False), ok()) as server:
        assert [exchange(client, server).body for _ in range(2)] == [b"fine"] * 2
    assert server.connections == 2


def test_compressed_answer_that_ends_too_early_is_lost(client: HttpClient) -> None:
    packed = gzip.compress(b"fine" * 1000)[:-9]
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    with Server(says(head + packed)) as server:
        assert exchange(client, server).failure == "lost_answer"


def test_many_threads_share_one_client(client: HttpClient) -> None:
    with Server(*[ok()] * 64) as server, ThreadPoolExecutor(16) as threads:
        statuses = list(threads.map(lambda _: exchange(client, server).status, range(64)))
    assert statuses == [200] * 64


# Nothing was sent.


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


# After the first byte: lost answers.


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


# Secrets.


def test_failures_do_not_show_the_credential(client: HttpClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with Server(resets()) as server:
        answer = exchange(client, server)
    assert "s3cr3t" not in repr(answer) + caplog.text


def test_unreadable_header_lines_are_not_logged(client: HttpClient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    with Server(says(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\njoe@example.com said s3cr3t\r\n\r\nfine")) as server:
        answer = exchange(client, server)
    assert (answer.failure, answer.body) in {("lost_answer", b""), (None, b"fine")}
    assert "joe@example.com" not in caplog.text


def test_threads_do_not_wait_for_each_other(client: HttpClient) -> None:
    gate = threading.Barrier(2, timeout=5)
    with Server(ok(), ok()) as server, ThreadPoolExecutor(2) as threads:
        calls = [threads.submit(client.exchange, put(server.url), SECRET, gate.wait) for _ in range(2)]
        assert [call.result().status for call in calls] == [200, 200]


def test_user_agent_without_installed_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise session.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(session.metadata, "version", missing)
    session.user_agent.cache_clear()
    assert session.user_agent() == "gaugepost/0"
    session.user_agent.cache_clear()
