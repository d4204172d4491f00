"""A hostile server: its answers are limited in size, time and depth, and it gets no secret."""

from __future__ import annotations

import gzip
import itertools
import json
import socket
import tracemalloc
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gaugepost.verdict import Verdict
from gaugepost_tasks.endpoints import token, upload_statistics
from gaugepost_tasks.http import HttpClient
from gaugepost_tasks.http_messages import Answer, Request
from support.faulty_server import Server, ok, says

if TYPE_CHECKING:
    from collections.abc import Callable


SECRET = "Bearer s3cr3t"
LIMIT = 100_000


@pytest.fixture
def client(new_client: Callable[..., HttpClient]) -> HttpClient:
    return new_client(10, 10, 4, max_answer_bytes=LIMIT)


@pytest.fixture
def impatient(new_client: Callable[..., HttpClient]) -> HttpClient:
    return new_client(0.5, 0.3, 4, max_answer_bytes=LIMIT)


def put(url: str, **headers: str) -> Request:
    return Request("PUT", url, {"Idempotency-Key": "job-1"} | headers, b"{}", "bearer")


def floods(head: bytes, piece: bytes) -> Any:
    """Send a piece again and again, without an end."""

    def answer(sock: socket.socket, server: Server) -> bool:
        sock.sendall(head)
        while not server.over.is_set():
            sock.sendall(piece)
        return False

    return answer


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
FLOODS = {
    "one header without an end": (b"HTTP/1.1 200 OK\r\nX: ", b"x" * 65_536),
    "headers without an end": (b"HTTP/1.1 200 OK\r\n", b"X-Header: x\r\n" * 1000),
    "a status line without an end": (b"HTTP/1.1 200 ", b"O" * 65_536),
    "interim answers without an end": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "a chunk size without an end": (CHUNKED, b"0" * 65_536),
    "a chunk extension without an end": (CHUNKED + b"5;", b"x" * 65_536),
    "trailers without an end": (CHUNKED + b"0\r\n", b"X-Trailer: x\r\n" * 1000),
    "one trailer without an end": (CHUNKED + b"0\r\nX: ", b"x" * 65_536),
}


@pytest.mark.parametrize(("head", "piece"), FLOODS.values(), ids=FLOODS)
def test_endless_answer_ends_within_limits(impatient: HttpClient, head: bytes, piece: bytes) -> None:
    with Server(floods(head, piece)) as server:
        tracemalloc.start()
        try:
            answer = impatient.exchange(put(server.url), SECRET)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert answer.failure == "lost_answer"
    assert peak < 10_000_000
    assert "s3cr3t" not in answer.detail


def test_empty_chunks_between_bytes_are_read_no_longer_than_the_deadline(new_client: Callable[..., HttpClient]) -> None:
    drip = b"1\r\nx\r\n"
    with Server(floods(CHUNKED, drip)) as server:
        answer = new_client(0.1, 0.2, 1, max_answer_bytes=LIMIT).exchange(put(server.url), SECRET)
    assert answer.truncated or answer.failure == "lost_answer"


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "gzip, gzip", "gzip, gzip, gzip, gzip, gzip, gzip, gzip"])
def test_compression_bomb_stops_at_the_limit(impatient: HttpClient, encoding: str) -> None:
    packed = bytes(50_000_000)
    packed = zlib.compress(packed, 9) if encoding == "deflate" else gzip.compress(packed, 9)
    for _ in range(encoding.count(",")):
        packed = gzip.compress(packed, 9)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\nContent-Length: %d\r\n\r\n" % (encoding.encode(), len(packed))
    with Server(says(head + packed, go_on=False)) as server:
        tracemalloc.start()
        try:
            answer = impatient.exchange(put(server.url), SECRET)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert (answer.truncated and len(answer.body) == LIMIT) or answer.failure == "lost_answer"
    assert peak < 10_000_000


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 305, 307, 308])
@pytest.mark.parametrize("where", ["another host", "the same host", "a file"])
def test_credential_does_not_follow_a_redirect(client: HttpClient, status: int, where: str) -> None:
    with Server(ok()) as other, Server(ok(), ok()) as server:
        targets = {"another host": other.url, "the same host": server.url + "/2", "a file": "file:///etc/passwd"}
        head = f"HTTP/1.1 {status} X\r\nLocation: {targets[where]}\r\nContent-Length: 0\r\n\r\n"
        server.steps[0] = says(head.encode())
        assert client.exchange(put(server.url), SECRET).status == status
    assert (len(server.requests), other.connections) == (1, 0)


def test_environment_gives_no_credential_authority_or_proxy(
    client: HttpClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("default login joe password netrc-password\n")
    netrc.chmod(0o600)
    for name in ("NETRC", "HOME", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, str(tmp_path if name == "HOME" else netrc))
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://joe:proxy-password@127.0.0.1:1")
    with Server(ok(), ok()) as server:
        for credential in (SECRET, ""):
            assert client.exchange(put(server.url), credential).status == 200
    assert b"authorization: bearer s3cr3t" in server.requests[0].lower()
    assert b"authorization" not in server.requests[1].lower()
    assert not any(b"password" in request for request in server.requests)


@pytest.mark.parametrize("value", ["job-1\r\nX-Forged: 1", "job-1\nX-Forged: 1", "job-1\r\n\r\nGET / HTTP/1.1", "\n"])
def test_no_value_of_a_job_becomes_a_header_of_its_own(client: HttpClient, value: str) -> None:
    with Server(ok()) as server:
        answer = client.exchange(put(server.url, **{"Idempotency-Key": value}), SECRET)
    assert (answer.failure, server.requests) == ("unreachable", [])


@pytest.mark.parametrize("path", ["a b", "a\r\nX-Forged: 1", "a\0b", "\x7f"])
def test_no_part_of_a_url_becomes_a_header(client: HttpClient, path: str) -> None:
    with Server(ok()) as server:
        client.exchange(put(server.url + "/" + path), SECRET)
    [request] = server.requests
    lines = request.partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert lines[0].count(b" ") == 2
    assert not any(line.lower().startswith(b"x-forged") for line in lines)


def errors(field_errors: object, message: str = "x") -> bytes:
    return json.dumps({"message": message, "errors": field_errors}).encode()


BODIES = {
    "deep arrays": b"[" * 500_000 + b"]" * 500_000,
    "deep objects": b'{"a":' * 150_000,
    "many keys": json.dumps({f"k{i}": 1 for i in range(80_000)}).encode(),
    "many fields": errors({f"k{i}": ["is required when"] for i in range(30_000)}),
    "many texts": errors({"a": ["The x field is required."] * 20_000}),
    "a text that nearly matches": errors({"a": ["required " + "when none of " * 70_000]}),
    "a long message": errors({}, "value number " * 75_000),
    "digits": errors({}, "1 " * 490_000),
    "at signs": errors({}, "@" * 900_000),
    "not a number": b'{"message":NaN,"errors":{"a":NaN},"data":{"status":NaN},"survey_link":NaN}',
    "no end": b'{"Data":Infinity,"Error":{"Code":1e999,"Message":-Infinity}}',
    "a huge number": b'{"Error":{"Code":' + b"9" * 900_000 + b'},"Data":' + b"9" * 4000 + b"}",
    "a large number": b'{"Error":{"Code":' + b"9" * 4000 + b',"Message":"x"}}',
    "no UTF-8": b'{"message":"\xff\xfe","errors":{"\xff":["\xfe"]}}',
    "half characters": b'{"message":"\\ud800 \\udfff","errors":{"\\ud800":["\\udc00"]}}',
    "zeros": b"\0" * 1_000_000,
    "orders to a terminal": errors({"\x1b]0;x\x07": ["\x1b[2J\u202e"]}, "\x1b]0;x\x07\r\n\u2028\x85 ok"),
    "deep XML": b"<a>" * 140_000 + b"</a>" * 140_000,
    "wide XML": b"<r>" + b"<i/>" * 240_000 + b"</r>",
    "an XML bomb": b'<!DOCTYPE l [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><l>&b;</l>',
    "an XML file reader": b'<!DOCTYPE l [<!ENTITY a SYSTEM "file:///etc/passwd">]><Error><Message>&a;</Message></Error>',
    "XML from elsewhere": b'<!DOCTYPE l SYSTEM "http://127.0.0.1:1/x.dtd"><Error><Message>x</Message></Error>',
}


@pytest.mark.parametrize("kind", ["record", "response"])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_hostile_body_yields_only_a_short_clean_message(
    body: bytes, kind: str, job: Callable[..., Any], judged: Callable[..., Any]
) -> None:
    for status in (200, 400, 422):
        judgement = judged(job(kind), Answer(status, {}, body))
        texts = [judgement.message, *judgement.field_errors, *itertools.chain(*judgement.field_errors.values())]
        assert all(len(text) <= 300 and text.isprintable() for text in texts)
        assert len(texts) <= 1 + 20 * 6
        assert "root:" not in judgement.message
        json.dumps([judgement.message, dict(judgement.result)], allow_nan=False).encode()


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_no_body_is_a_token_or_a_statistic(body: bytes) -> None:
    assert token.read(Answer(200, {}, body), now=0).token is None
    assert not upload_statistics.read(Answer(200, {}, body))


@pytest.mark.parametrize("value", ["x" * 8193, "a\r\nX-Forged: 1", "☃", " ", "\x7f"])
def test_token_that_does_not_fit_a_header_is_refused(value: str) -> None:
    answer = token.read(Answer(200, {}, json.dumps({"access_token": value}).encode()), now=0)
    assert answer.token is None
    assert answer.judgement.verdict is Verdict.SERVER_ERROR
    assert value.strip() not in repr(answer) or not value.strip()


def test_an_exchange_with_a_hostile_server_leaves_the_next_one_alone(client: HttpClient) -> None:
    smuggled = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"
    with Server(says(smuggled), ok(), ok()) as server:
        first = client.exchange(put(server.url), SECRET)
        second = client.exchange(put(server.url), SECRET)
    assert (first.body, second.body) == (b"{}", b"fine")
