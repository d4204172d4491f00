"""A connection of a client: a deadline for each phase of a request, and one write for each answer.

uvicorn has a timer only for connections that are idle between two requests. A client that sends nothing, or its headers
a byte at a time, would keep its connection for ever.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from gaugepost_ops.web.bodies import BODY_S
from gaugepost_ops.web.observed import ENQUEUE
from gaugepost_ops.web.protocol import HttpProtocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

    from gaugepost_ops.web.single_jobs import Head, SingleJobs

HEAD_S = 20.0
"""Seconds for the headers of a request, from their first byte."""
KEEP_ALIVE_S = 75
"""Seconds for the first byte of a request. Longer than proxies keep an idle connection, so that they never send a
request into a connection that closes."""
CLOSE_S = 10.0
"""Seconds in which a client must read the rest of its last answer."""
MAX_HEAD = 64_000
_ENQUEUE = ENQUEUE.encode()
_NEVER = float("inf")
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class _Answer:
    """The transport of one answer. It writes the head together with the first part of the body.

    Two writes cost two calls of the system, and wake the client twice: a fifth of the time of an enqueue.
    """

    __slots__ = ("_has_begun", "_head", "_transport", "is_closing")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""
        self._has_begun = False
        self.is_closing: Callable[[], bool] = transport.is_closing

    def write(self, data: bytes) -> None:
        if self._has_begun or data == _CONTINUE:
            self._transport.write(data)
        elif self._head:
            self._has_begun = True
            self._transport.write(self._head + data)
        else:
            self._head = data

    def close(self) -> None:
        if not self._has_begun:
            self._transport.write(self._head)
        self._transport.close()


class Connection(HttpProtocol):
    """HTTP/1.1 on one connection. `server.py` calls `end_if_overdue` of all connections each second."""

    due = _NEVER
    """When the next part of a request must be there, monotonic seconds."""
    _is_in_head = False
    _head: Head | None = None
    """The head of a request that may be a single job, and of which uvicorn does not know yet."""
    _body = b""
    """What has come of its body."""
    _head_bytes = 0
    """Bytes of the head, without those that came with its first one."""

    def __init__(self, *given: Any, singles: SingleJobs | None = None, **options: Any) -> None:  # noqa: ANN401 - uvicorn's
        super().__init__(*given, **options)
        self.singles = singles

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        self.due = time.monotonic() + KEEP_ALIVE_S

    def data_received(self, data: bytes) -> None:
        """Parse bytes. A head that never ends is refused: the parser would hold all of it."""
        if self._is_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD:
                self._is_in_head = False
                self.transport.write(_TOO_LONG)
                self.transport.close()
        if not self.transport.is_closing():
            super().data_received(data)
        if self._head is not None and self._body and not self.transport.is_closing():  # the rest comes later, if ever
            self._go_ordinary_way()

    def on_message_begin(self) -> None:
        """Wait for the rest of the headers."""
        super().on_message_begin()
        self._is_in_head, self._head_bytes = True, 0
        self.due = time.monotonic() + HEAD_S

    def on_headers_complete(self) -> None:
        """Wait for the first part of the body. The code that reads the body waits for the others: bodies.py."""
        if self.url == _ENQUEUE and self._is_free():
            assert self.singles is not None  # noqa: S101 - _is_free
            self._head, self._body = self.singles.head_of(self.headers), b""
        if self._head is None:
            super().on_headers_complete()
        self._is_in_head = False
        self.due = time.monotonic() + BODY_S

    def _is_free(self) -> bool:
        """Return whether the connection is free for a single job, whose answer leaves it open."""
        return (
            self.singles is not None
            and (self.cycle is None or self.cycle.response_complete)
            and not self.flow.write_paused
            and not self.expect_100_continue
            and (self.limit_concurrency is None or len(self.connections) < self.limit_concurrency)
            and self.parser.get_method() == b"POST"
            and self.parser.get_http_version() == "1.1"
            and self.parser.should_keep_alive()
        )

    def on_body(self, body: bytes) -> None:
        """Leave the deadline to the code that reads the body."""
        if self._head is not None:
            self._body += body
            return
        super().on_body(body)
        self._leave()

    def on_message_complete(self) -> None:
        """Leave the deadline to the code that answers."""
        if self._head is not None:
            assert self.singles is not None  # noqa: S101 - _is_free
            single = self.singles.take(self, self.scope, self._head, self._body)  # type: ignore[arg-type] # a dict
            if single is not None:
                self.cycle = single  # type: ignore[assignment] # it has what is used of a cycle
                self._head, self.due = None, _NEVER
                return
            self._go_ordinary_way()
        super().on_message_complete()
        self._leave()

    def _go_ordinary_way(self) -> None:
        """Pass on to uvicorn what has come of a request."""
        self._head = None
        super().on_headers_complete()
        if self._body:
            super().on_body(self._body)
            self._leave()

    def answer(self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes, *, keep_alive: bool) -> None:
        """Answer a single job, with the headers that uvicorn adds."""
        if self.transport.is_closing():  # after a later request that was none
            return
        end = b"\r\n" if keep_alive else b"connection: close\r\n\r\n"
        lines = [b"%s: %s\r\n" % header for header in (*self.server_state.default_headers, *headers)]
        self.transport.write(b"".join((STATUS_LINE[status], *lines, end, body)))
        if not keep_alive:
            self.transport.close()
        self.on_response_complete()

    def _leave(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self.due = _NEVER

    def on_response_complete(self) -> None:
        """Begin the request that waits, or wait for the next one. The rest of a body that is answered is none.

        It replaces uvicorn's function, which makes a timer for each request: `end_if_overdue` needs none.
        """
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self.due = time.monotonic() + KEEP_ALIVE_S

    def end_if_overdue(self, now: float) -> None:
        """Close the connection if its client is too slow. A client that does not read either is cut off later."""
        if now < self.due or self.pipeline:
            return
        self.due = now + CLOSE_S
        if self.transport.is_closing():
            self.transport.abort()
            return
        if self._is_within_request():
            self.transport.write(_TOO_SLOW)
        self.transport.close()

    def shutdown(self) -> None:
        """Close the connection when it has answered its request, even if that has only begun."""
        if self._head is not None:
            self._go_ordinary_way()
        super().shutdown()

    def _is_within_request(self) -> bool:
        """Return whether a request has begun, and nothing of its answer."""
        if self.cycle is None or self.cycle.response_complete:
            return self.scope is not (self.cycle and self.cycle.scope)
        return not self.cycle.response_started

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:  # noqa: ANN401 - uvicorn's own types
        if cycle.scope["method"] != "HEAD":  # that has no body
            cycle.transport = _Answer(self.transport)
        super()._start_asgi_task(cycle, app)
