"""One connection to one host: bytes out, one answer in, within a deadline. llhttp (httptools) reads the answers.

A socket with llhttp on it costs a seventh of what urllib3 does (`ops/decisions/0003-http.md`), and shows exactly what a
job's fate depends on: whether the first byte has left.
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
    from gaugepost_tasks.http.body import Body
    from gaugepost_tasks.http.exchange import Deadline, Exchange, Origin

CHUNK_BYTES = 65_536
"""How many bytes are sent or read at a time."""


class _UnrequestedAnswer(Exception):  # noqa: N818 - a signal, not an error
    """More came than one answer."""


class AnswerParser:
    """One answer while it is received. llhttp calls its methods."""

    def __init__(self, content: Body) -> None:
        self.status = 0
        self.headers = Headers({})
        self.content = content
        self.complete = False
        self.keeps_alive = False
        self._parser = HttpResponseParser(self)
        self._received = 0

    def feed(self, data: bytes) -> None:
        """Take in what has come. Raises ValueError for an answer whose framing takes more than its content."""
        try:
            self._parser.feed_data(data)
        except HttpParserCallbackError as error:
            if not isinstance(error.__context__, _UnrequestedAnswer):
                raise
        self._received += len(data)
        self.content.check_framing(self._received)

    def end(self) -> None:
        """Take in that no more comes. Raises what http.client raises for an answer that is not whole."""
        if not self.status:
            raise http.client.RemoteDisconnected("")
        if "content-length" in self.headers or "transfer-encoding" in self.headers:
            raise http.client.IncompleteRead(b"")
        self.content.end()
        self.complete = True

    # llhttp's calls

    def on_message_begin(self) -> None:
        """Stop at an answer to no request of ours."""
        if self.complete:
            self.keeps_alive = False
            raise _UnrequestedAnswer

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header of the head; what comes after the body is a trailer, and is not read."""
        if not self.status:
            self.headers.add(name.decode("latin-1"), value.decode("latin-1"))

    def on_headers_complete(self) -> None:
        """Note the status, and how the body is packed."""
        self.status = self._parser.get_status_code()
        self.content.set_encoding(self.headers.get("content-encoding", "").lower())

    def on_body(self, part: bytes) -> None:
        """Keep a part of the body."""
        self.content.add(part)

    def on_message_complete(self) -> None:
        """Note the end. An interim answer (1xx) comes before the one that counts."""
        if self.status < http.client.OK:
            self.status, self.headers = 0, Headers({})
            return
        self.content.end()
        self.keeps_alive = bool(self._parser.should_keep_alive())
        self.complete = True


def input_poll(sock: socket.socket) -> select.poll:
    """Return what says whether something has come on a socket."""
    poll = select.poll()
    poll.register(sock, select.POLLIN | select.POLLHUP)
    return poll


def has_tls_records_only(sock: socket.socket) -> bool:
    """Return whether what has come on a socket is of TLS itself: servers send session tickets after the handshake.

    The socket does not block any more afterwards, until it is given a timeout.
    """
    sock.settimeout(0)
    try:
        sock.recv(1)
    except ssl.SSLWantReadError:
        return True
    except OSError:
        return False
    return False


class Connection:
    """A socket, with TLS where the URL says so. `timeout` is for connecting, in seconds."""

    def __init__(self, origin: Origin, timeout: float, tls: ssl.SSLContext) -> None:
        self._sock = socket.create_connection((origin.host, origin.port), timeout)
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
        """Return whether nothing has come unasked, the end of the connection above all."""
        return not self._poll.poll(0) or has_tls_records_only(self._sock)

    def send(self, data: bytes, exchange: Exchange) -> None:
        """Send it all."""
        left = memoryview(data)
        while left:
            exchange.deadline.limit(self._sock)
            left = left[exchange.send_some(self._sock, left[:CHUNK_BYTES]) :]

    def receive(self, content: Body, deadline: Deadline) -> AnswerParser:
        """Read one answer to its end, or as much of it as an answer may have."""
        parser = AnswerParser(content)
        while not parser.complete and not content.truncated:
            deadline.limit(self._sock)
            data = self._sock.recv(CHUNK_BYTES)
            parser.feed(data) if data else parser.end()
        self.used_at = time.monotonic()
        return parser

    def close(self) -> None:
        """Close it, whatever state it is in."""
        self._sock.close()
