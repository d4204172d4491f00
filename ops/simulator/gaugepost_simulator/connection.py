"""The connection of one request, and the ways to lose its answer.

tornado writes ordinary replies. For a fault that cuts, shortens or slows the reply, the simulator detaches the socket
from tornado and writes the bytes itself.
"""

import asyncio
import time
from collections.abc import Callable
from email.utils import formatdate
from http.client import responses

from tornado.http1connection import HTTP1Connection
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.iostream import StreamClosedError

from gaugepost_simulator.messages import Reply, Request

_MISSING_BYTES = 16
_TRICKLE_STEPS = 50
_BODILESS = (204, 304)


class ClientConnection:
    """Sends the answer to one request. Each method returns whether the client may have received the whole answer."""

    def __init__(self, connection: HTTP1Connection, *, head: bool) -> None:
        self._connection = connection
        self._head = head

    def send(self, reply: Reply) -> bool:
        """Send the reply through tornado."""
        stream = self._connection.stream
        if stream is None or stream.closed():
            return False
        start = ResponseStartLine("HTTP/1.1", reply.status, responses.get(reply.status, "Unknown"))
        body = b"" if self._head or reply.status in _BODILESS else reply.body
        self._connection.write_headers(start, HTTPHeaders(_headers(reply, len(body))), body)
        self._connection.finish()
        return True

    def cut(self) -> bool:
        """Close the socket without an answer."""
        self._connection.detach().close()
        return False

    async def send_short(self, reply: Reply) -> bool:
        """Announce more bytes than the body has, send the body, and close."""
        await self._write_raw([_raw(reply, len(reply.body) + _MISSING_BYTES)], 0)
        return False

    async def trickle(self, reply: Reply, seconds: float) -> bool:
        """Send the answer in small pieces over ``seconds`` seconds, and close."""
        raw = _raw(reply, len(reply.body))
        step = max(1, len(raw) // _TRICKLE_STEPS)
        return await self._write_raw([raw[n : n + step] for n in range(0, len(raw), step)], seconds)

    async def _write_raw(self, chunks: list[bytes], seconds: float) -> bool:
        stream = self._connection.detach()
        try:
            for chunk in chunks:
                await asyncio.sleep(seconds / len(chunks))
                await stream.write(chunk)
        except StreamClosedError:
            return False
        finally:
            stream.close()
        return True


Accept = Callable[[Request, ClientConnection], None]


class ServerDelegate(HTTPServerConnectionDelegate):
    """Receives requests from tornado's HTTP server and passes each, with its whole body, to ``accept``."""

    def __init__(self, accept: Accept) -> None:
        self._accept = accept

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:  # noqa: ARG002
        """Return the reader of one request."""
        if not isinstance(request_conn, HTTP1Connection):
            raise TypeError(request_conn)
        return _RequestReader(request_conn, self._accept)


class _RequestReader(HTTPMessageDelegate):
    def __init__(self, connection: HTTP1Connection, accept: Accept) -> None:
        self._connection = connection
        self._accept = accept
        self._chunks: list[bytes] = []

    def headers_received(self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders) -> None:
        if not isinstance(start_line, RequestStartLine):
            raise TypeError(start_line)
        self._received_at = time.time()
        self._start_line, self._headers = start_line, headers

    def data_received(self, chunk: bytes) -> None:
        self._chunks.append(chunk)

    def finish(self) -> None:
        path, _, query = self._start_line.path.partition("?")
        peer = getattr(self._connection.context, "remote_ip", "")
        body = b"".join(self._chunks)
        request = Request(self._start_line.method, path, query, self._headers, body, peer, self._received_at)
        self._accept(request, ClientConnection(self._connection, head=request.method == "HEAD"))


def _headers(reply: Reply, length: int) -> dict[str, str]:
    headers = {"Content-Length": str(length), "Date": formatdate(usegmt=True), "Server": "gaugepost-simulator"}
    if reply.body:
        headers["Content-Type"] = reply.content_type
    return headers | dict(reply.headers)


def _raw(reply: Reply, length: int) -> bytes:
    lines = [f"HTTP/1.1 {reply.status} {responses.get(reply.status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in (_headers(reply, length) | {"Connection": "close"}).items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + reply.body
