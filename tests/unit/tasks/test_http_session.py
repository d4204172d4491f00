"""Our adapters in a `requests.Session`: requests, responses and exceptions are those of requests."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
import requests
from requests.structures import CaseInsensitiveDict

from gaugepost_tasks.http import DirectAdapter, Urllib3Adapter
from gaugepost_tasks.http.exchange import Exchange, Headers, Reply
from support.faulty_server import Server, Step, ok, resets, says, stalls

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=[DirectAdapter, Urllib3Adapter])
def session(request: pytest.FixtureRequest) -> Iterator[requests.Session]:
    with requests.Session() as made:
        made.trust_env = False
        made.mount("http://", request.param(timeout=(10, 10)))
        yield made


def test_session_sends_text_bytes_and_nothing(session: requests.Session) -> None:
    with Server(ok(), ok(), ok()) as server:
        for data in ("é", b"x", None):
            assert session.put(server.url, data=data, timeout=5).text == "fine"
    bodies = [raw.partition(b"\r\n\r\n")[2] for raw in server.requests]
    assert bodies == ["é".encode(), b"x", b""]
    assert server.connections == 1


def test_session_gets_a_whole_response(session: requests.Session) -> None:
    head = b"HTTP/1.1 404 Gone\r\nContent-Type: application/json; charset=utf-8\r\nX-A: 1\r\nX-A: 2\r\n"
    raw = head + b'Content-Length: 10\r\n\r\n{"a": "b"}'
    with Server(says(raw), says(raw)) as server:
        response = session.get(server.url)
        streamed = session.get(server.url, stream=True)
        assert b"".join(streamed.iter_content(4)) == streamed.raw.read() == response.content
    assert (response.status_code, response.reason, response.ok) == (404, "Not Found", False)
    assert (response.json(), response.encoding, response.headers["x-a"]) == ({"a": "b"}, "utf-8", "1, 2")
    assert (response.history, response.is_redirect, response.elapsed.total_seconds() > 0) == ([], False, True)
    assert response.request.headers["user-agent"].startswith("python-requests/")
    with pytest.raises(requests.HTTPError, match="404 Client Error: Not Found"):
        response.raise_for_status()


def test_session_follows_redirects_itself_and_stores_no_cookie(session: requests.Session) -> None:
    with Server() as server:
        location = server.url.encode() + b"/2"
        server.steps = [
            says(b"HTTP/1.1 302 X\r\nSet-Cookie: a=b\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % location),
            ok(),
        ]
        response = session.get(server.url)
    assert (response.text, [one.status_code for one in response.history]) == ("fine", [302])
    assert not session.cookies
    assert not response.cookies


@pytest.mark.parametrize(
    ("step", "error"),
    [
        (resets(), requests.ConnectionError),
        (stalls(), requests.ReadTimeout),
        (says(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", go_on=False), requests.exceptions.ChunkedEncodingError),
        (says(b"nonsense\r\n\r\n", go_on=False), requests.RequestException),
        (ok(b"x" * 1_100_000), requests.RequestException),
    ],
)
def test_failures_are_exceptions_of_requests(session: requests.Session, step: Step, error: type[Exception]) -> None:
    with Server(step) as server:
        with pytest.raises(error) as caught:
            session.get(server.url, timeout=(10, 0.3) if error is requests.ReadTimeout else None)
        assert caught.value.request.url == server.url


def test_nothing_sent_is_an_exception_of_requests(session: requests.Session) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"
    with pytest.raises(requests.ConnectionError):
        session.get(url)


def test_a_proxy_is_never_passed_by(session: requests.Session) -> None:
    with Server(ok()) as server:
        with pytest.raises(requests.exceptions.ProxyError):
            session.get(server.url, proxies={"http": "http://127.0.0.1:1"})
        assert session.get(server.url, proxies={"https": "http://127.0.0.1:1"}).ok
    assert len(server.requests) == 1


def test_our_headers_are_those_of_requests() -> None:
    ours, theirs = Headers({"Accept": "a", "X-One": "1"}), CaseInsensitiveDict({"Accept": "a", "X-One": "1"})
    for headers in (ours, theirs):
        headers["x-one"] = "2"
        headers["Other"] = "3"
        del headers["ACCEPT"]
    assert ours == theirs == ours.copy()
    assert [*ours.items()] == [*theirs.items()]
    assert (*ours.lower_items(),) == (*theirs.lower_items(),)
    assert ("accept" in ours, ours.get("x-ONE"), len(ours)) == (False, "2", 2)


def test_our_reply_has_all_that_a_response_has() -> None:
    reply = Reply(Exchange(), DirectAdapter(), 200, Headers({}), b"fine")
    for name in vars(requests.Response()):
        getattr(reply, name)
    assert [name for name in requests.Response.__attrs__ if not hasattr(reply, name)] == []
