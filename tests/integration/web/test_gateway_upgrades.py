"""A client that offers HTTP/2 without TLS, as Java's does in each request, is served over HTTP/1.1."""

from __future__ import annotations

import json
import socket
from contextlib import closing

import pytest

from support.gateway import GatewayProcess, job

OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n"
LENGTHS = {
    "Content-Length": lambda body: (b"Content-Length: %d" % len(body), body),
    "chunked": lambda body: (b"Transfer-Encoding: chunked", b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)),
}


def post(key: str, body: bytes, length: str = "Content-Length") -> bytes:
    """Return the bytes of a request that enqueues a job, and offers HTTP/2."""
    header, sent = LENGTHS[length](body)
    lines = [b"POST /v1/jobs HTTP/1.1", b"Host: gateway", b"Authorization: Bearer " + key.encode(), header]
    return b"\r\n".join([*lines, b"Content-Type: application/json", OFFER]) + b"\r\n" + sent


def answers(gateway: GatewayProcess, pieces: list[bytes]) -> list[tuple[int, bytes]]:
    """Send pieces on one connection, then a last request that ends it. Return status and body of each answer."""
    with closing(socket.create_connection(("127.0.0.1", gateway.port), timeout=30)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in [*pieces, b"GET /healthz HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n"]:
            connection.sendall(piece)
        with connection.makefile("rb") as stream:
            found = []
            while status := stream.readline():
                length = 0
                while (line := stream.readline()).strip():
                    name, _, value = line.partition(b":")
                    length = int(value) if name.lower() == b"content-length" else length
                found.append((int(status.split()[1]), stream.read(length)))
    return found


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("size", [1_000_000, 60, 1])
def test_job_with_an_offer_of_http_2_is_stored(gateway: GatewayProcess, key: str, length: str, size: int) -> None:
    request = post(key, json.dumps(job()).encode(), length)
    pieces = [request[start : start + size] for start in range(0, len(request), size)]
    [(status, body), last] = answers(gateway, pieces)
    assert (status, last[0]) == (201, 200)
    assert json.loads(body)["state"] == "queued"


def test_requests_in_one_piece_are_answered_in_their_order(gateway: GatewayProcess, key: str) -> None:
    bodies = [json.dumps(job(labels=[str(number)])).encode() for number in range(3)]
    found = answers(gateway, [b"".join(post(key, body) for body in bodies)])
    assert [status for status, _ in found] == [201, 201, 201, 200]
    shown = [gateway.call("GET", f"/v1/jobs/{json.loads(body)['id']}", key).json() for _, body in found[:3]]
    assert [one["labels"] for one in shown] == [["0"], ["1"], ["2"]]


def test_hundreds_of_offers_at_once_are_answered(gateway: GatewayProcess) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: a\r\n" + OFFER + b"\r\n"
    assert [status for status, _ in answers(gateway, [request * 500])] == [200] * 501


def test_body_after_an_offer_is_never_read_as_a_request(gateway: GatewayProcess, key: str) -> None:
    smuggled = b"GET /readyz HTTP/1.1\r\nHost: gateway\r\n\r\n"
    found = answers(gateway, [post(key, smuggled)[: -len(smuggled)], smuggled])
    assert [status for status, _ in found] == [400, 200]
    assert b"not JSON" in found[0][1]


@pytest.mark.parametrize("offer", [b"websocket", b"h2c, websocket", b"anything/1.0"])
def test_any_other_offer_is_ignored_too(gateway: GatewayProcess, offer: bytes) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: a\r\nUPGRADE: " + offer + b"\r\nconnection: keep-alive, upgrade\r\n\r\n"
    assert [status for status, _ in answers(gateway, [request])] == [200, 200]


def test_gateway_is_no_proxy(gateway: GatewayProcess) -> None:
    [(status, body)] = answers(gateway, [b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n"])
    assert (status, body) == (400, b"This server is no proxy.")
