"""Read the body of a request: bounded in bytes and in time."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect

from gaugepost_ops.cli.jobs.json_lines import MAX_FILE_LINE, MAX_LINE
from gaugepost_ops.web.large_bodies import BODIES
from gaugepost_ops.web.problems import Refused

if TYPE_CHECKING:
    from starlette.types import Receive, Scope

MAX_JOB_BODY = MAX_FILE_LINE
"""A body of one job may have a file's content in base64."""
MAX_ARRAY_BODY = 16_000_000
_MOST_DIGITS = 20
BODY_S = 60.0
"""Seconds for a whole body. Between two chunks of JSON lines, the same time."""


async def next_chunk(receive: Receive) -> tuple[bytes, bool]:
    """Return the next chunk of a body, and whether more follows. Raises ClientDisconnect."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message.get("body", b""), message.get("more_body", False)


def fits(length: bytes, most: int) -> bool:
    """Return whether a Content-Length is at most this. Python parses no more than 4,300 digits, leading zeros too."""
    digits = length.lstrip(b"0")[:_MOST_DIGITS]
    return not digits.isdigit() or int(digits) <= most


async def read_body(request: Scope, receive: Receive, most: int) -> bytes:
    """Read a whole body. Raises Refused: 408, 413, 503.

    connection.py limits the time until the first part arrives, which mostly is the whole body.
    """
    length = next((value for name, value in request["headers"] if name == b"content-length"), b"")
    if not fits(length, most):
        raise _too_long(most)
    chunk, more = await next_chunk(receive)
    if not more:
        return _bounded(chunk, most)
    try:
        async with asyncio.timeout(BODY_S):
            return await _rest(request, receive, bytearray(chunk), most)
    except TimeoutError:
        raise Refused(HTTPStatus.REQUEST_TIMEOUT, f"the body did not arrive within {BODY_S:.0f} s") from None


async def _rest(request: Scope, receive: Receive, body: bytearray, most: int) -> bytes:
    more = True
    BODIES.hold(request, len(body))
    while more:
        chunk, more = await next_chunk(receive)
        if len(body) + len(chunk) > most:
            raise _too_long(most)
        BODIES.hold(request, len(chunk))
        body += chunk
    return bytes(body)


def _bounded(body: bytes, most: int) -> bytes:
    if len(body) > most:
        raise _too_long(most)
    return body


def _too_long(most: int) -> Refused:
    expected = f"expected a body of at most {most:,} bytes; send many jobs as JSON lines (application/x-ndjson)"
    return Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, expected)


def job_limit(body: bytes, *, has_content: bool) -> None:
    """Raise Refused if a job without a file's content is longer than a line of `gaugepost enqueue` may be."""
    if len(body) > MAX_LINE and not has_content:
        expected = f"expected a job of at most {MAX_LINE:,} bytes ({MAX_FILE_LINE:,} with content_base64)"
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, expected)
