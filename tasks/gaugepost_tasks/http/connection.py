"""A connection to one host. It sends a request and receives an answer within a deadline; llhttp parses the answer.

A socket with llhttp (httptools) costs a seventh of urllib3 (`ops/decisions/0003-http.md`). It also shows exactly
whether the first byte was sent, and the verdict on a failed attempt depends on that.
"""

from __future__ import annotations

import http.client
import select
import socket
import ssl
import time
from typing import TYPE_CHECKING

from httptools import HttpParserCallbackError, HttpResponseParser

from gaugepost_tasks.http.exchange import Headers

if TYPE_CHECKING:
    from collections.abc import Callable

    from gaugepost_tasks.http.body import Body
    from gaugepost_tasks.http.exchange import Deadline, Exchange, Origin

CHUNK_BYTES = 65_536
"""The most bytes of one send or receive."""


class _UnrequestedAnswer(Exception):  # noqa: N818 - a signal, not an error
    """The server sent more than one answer."""


class AnswerParser:
    """Parses one answer. `feed` passes bytes to llhttp, which calls the `on_…` methods."""

    def __init__(self, content: Body) -> None:
        self.status = 0
        self.headers = Headers({})
        self.content = content
        self.complete = False
        self.keeps_alive = False
        self._parser = HttpResponseParser(self)
        self._received = 0

    def feed(self, data: bytes) -> None:
        """Parse received bytes. Raises ValueError for an answer with too much framing."""
        try:
            self._parser.feed_data(data)
        except HttpParserCallbackError as error:
            if not isinstance(error.__context__, _UnrequestedAnswer):
                raise
        self._received += len(data)
        self.content.check_framing(self._received)

    def end(self) -> None:
        """End the answer when the server closed. Raises http.client's exceptions for an answer that is not whole."""
        if not self.status:
            raise http.client.RemoteDisconnected("")
        if "content-length" in self.headers or "transfer-encoding" in self.headers:
            raise http.client.IncompleteRead(b"")
        self.content.end()
        self.complete = True

    # Called by llhttp

    def on_message_begin(self) -> None:
        """Stop at a second answer: we sent one request."""
        if self.complete:
            self.keeps_alive = False
            raise _UnrequestedAnswer

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header. Ignore trailers, which come after the body."""
        if not self.status:
            self.headers.add(name.decode("latin-1"), value.decode("latin-1"))

    def on_headers_complete(self) -> None:
        """Set the status and the encoding of the body."""
        self.status = self._parser.get_status_code()
        self.content.status = self.status if self.status >= http.client.OK else None
        self.content.set_encoding(self.headers.get("content-encoding", "").lower())

    def on_body(self, part: bytes) -> None:
        """Add a part of the body."""
        self.content.add(part)

    def on_message_complete(self) -> None:
        """End the answer. After an interim answer (1xx) start again: the final one follows."""
        if self.status < http.client.OK:
            self.status, self.headers = 0, Headers({})
            return
        self.content.end()
        self.keeps_alive = bool(self._parser.should_keep_alive())
        self.complete = True


def input_poll(sock: socket.socket) -> select.poll:
    """Return a poll object that reports input on a socket, or its end."""
    poll = select.poll()
    poll.register(sock, select.POLLIN | select.POLLHUP)
    return poll


def has_tls_records_only(sock: socket.socket) -> bool:
    """Return whether the input of a socket is only TLS records, such as session tickets after the handshake.

    Leaves the socket non-blocking: set a timeout before the next use.
    """
    sock.settimeout(0)
    try:
        sock.recv(1)
    except ssl.SSLWantReadError:
        return True
    except OSError:
        return False
    return False


def open_socket(origin: Origin, timeout: float) -> socket.socket:
    """Connect to a host, at any of its addresses. `timeout`: seconds."""
    return socket.create_connection((origin.host, origin.port), timeout)


class Connection:
    """A socket, with TLS for https. `timeout`: for connecting, in seconds. `open_it`: makes the connected socket."""

    def __init__(
        self,
        origin: Origin,
        timeout: float,
        tls: ssl.SSLContext,
        open_it: Callable[[Origin, float], socket.socket] = open_socket,
    ) -> None:
        self._sock = open_it(origin, timeout)
        try:
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if origin.scheme == "https":
                self._sock = tls.wrap_socket(self._sock, server_hostname=origin.host)
        except BaseException:
            self._sock.close()
            raise
        self._poll = input_poll(self._sock)
        self.used_at = time.monotonic()

    def is_quiet(self) -> bool:
        """Return whether the socket has no input that we did not ask for. The server's close counts as input."""
        return not self._poll.poll(0) or has_tls_records_only(self._sock)

    def send(self, data: bytes, exchange: Exchange) -> None:
        """Send all data within the deadline."""
        left = memoryview(data)
        while left:
            exchange.deadline.limit(self._sock)
            left = left[exchange.send_some(self._sock, left[:CHUNK_BYTES]) :]

    def receive(self, content: Body, deadline: Deadline) -> AnswerParser:
        """Receive one answer to its end, or until its body reaches the limit."""
        parser = AnswerParser(content)
        while not parser.complete and not content.truncated:
            deadline.limit(self._sock)
            data = self._sock.recv(CHUNK_BYTES)
            parser.feed(data) if data else parser.end()
        self.used_at = time.monotonic()
        return parser

    def close(self) -> None:
        """Close the socket in any state."""
        self._sock.close()
