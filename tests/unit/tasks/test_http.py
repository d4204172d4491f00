"""The client against a real server: requests, answers, kept connections, secrets."""

from __future__ import annotations

import gzip
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from gaugepost_tasks.http import HttpClient, session
from gaugepost_tasks.http import exchange as exchanges
from support.faulty_server import Server, ok, resets, says
from support.http_calls import SECRET, exchange, put


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


def test_status_alone_is_an_answer_where_that_is_enough(new_client: Callable[..., HttpClient]) -> None:
    damaged = says(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx", go_on=False)
    with Server(damaged, says(b"", go_on=False)) as server:
        client = new_client(2, 2, 4, status_is_enough=True)
        answer = exchange(client, server)
        assert (answer.status, answer.failure, answer.truncated) == (200, None, True)
        assert exchange(client, server).failure == "lost_answer"


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
        answers = list(threads.map(lambda _: exchange(client, server), range(64)))
    assert {(answer.status, answer.failure) for answer in answers} == {(200, None)}


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
