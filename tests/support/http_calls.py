"""Short calls of the HTTP client, with a credential that must never be shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaugepost_tasks.http_messages import Request

if TYPE_CHECKING:
    from gaugepost_tasks.http import HttpClient
    from gaugepost_tasks.http_messages import Answer
    from support.faulty_server import Server

SECRET = "Bearer s3cr3t"
FULL = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
"""The head of an answer whose body has ten bytes."""


def put(url: str, body: bytes = b"body", method: str = "PUT") -> Request:
    return Request(method, url, {"Idempotency-Key": "job-1", "Accept": "application/json"}, body, "bearer")


def exchange(client: HttpClient, server: Server, **more: object) -> Answer:
    return client.exchange(put(server.url, **more), SECRET)
