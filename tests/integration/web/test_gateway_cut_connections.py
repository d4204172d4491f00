"""Connections that end while their single jobs are stored: the jobs of others are answered all the same."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack

from support.gateway import GatewayProcess, job
from support.redis_server import RedisServer


def request(key: str, body: bytes) -> bytes:
    head = f"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body


def test_broken_request_behind_two_jobs_fails_no_job_of_others(
    gateway: GatewayProcess, server: RedisServer, key: str
) -> None:
    one = request(key, json.dumps(job()).encode())
    with ExitStack() as stack:
        first, broken, other, last = (
            stack.enter_context(socket.create_connection(("127.0.0.1", gateway.port), timeout=30)) for _ in range(4)
        )
        assert gateway.post(key, job()).status_code == 201  # the key is known: the jobs take the short way
        with server.frozen():
            first.sendall(one)
            for connection in (broken, other):
                connection.sendall(one + one + b"no request\r\n\r\n")
                assert connection.recv(1_000).startswith(b"HTTP/1.1 400")
                assert connection.recv(1_000) == b""
            last.sendall(one)
            assert gateway.call("GET", "/healthz").status_code == 200  # it has read the last job
        assert [connection.recv(1_000)[:12] for connection in (first, last)] == [b"HTTP/1.1 201"] * 2
    assert "Traceback" not in gateway.log()
