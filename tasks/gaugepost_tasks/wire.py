"""One connection to one host: bytes out, one answer in, within a deadline. llhttp (httptools) reads the answers.

A socket with llhttp on it costs a seventh of what urllib3 does (`ops/decisions/0003-http.md`), and tells exactly what a
job's fate depends on: whether the first byte has left.
"""

from __future__ import annotations

import http.client
import select
import socket
import time
import zlib
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, urlsplit

from httptools import HttpParserCallbackError, HttpResponseParser

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

_BLOCK = 65_536
_LONGEST_HEAD = 65_536
_BYTES_A_CHUNK = 16  # what the framing of one byte of a body may cost, so that a chunked answer ends too
_GRAIN_S = 0.2  # a socket's timeout is set anew only so often: each setting is a system call
_PORTS = {"http": 80, "https": 443}
_SMALLEST_WAIT_S = 0.001


class _Unasked(Exception):  # noqa: N818 - a signal, not an error
    """More came than one answer."""


class Target(NamedTuple):
    """Where a URL leads: a host to connect to, and what to ask it for."""

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def of(cls, url: str) -> Target:
        """Take a URL apart. Raises ValueError for one that cannot be called."""
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError("not a URL that can be called")
        path = quote((parts.path or "/") + (f"?{parts.query}" if parts.query else ""), safe="%/:=&?~+!$,;'@()*")
        return cls(parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme], path)

    @property
    def host_header(self) -> str:
        """Return the value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


class Deadline:
    """How long each read and write may take, so that all of them together end in time: answers can trickle."""

    def __init__(self, total: float, each: float) -> None:
        self._ends = time.monotonic() + total
        self._each = each
        self._set_at = float("-inf")

    def time_left(self) -> float:
        """Return how long the next read or write may take. Raises TimeoutError when all time is used up."""
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return min(left, self._each)

    def has(self, seconds: float) -> bool:
        """Tell whether more than so much time is left."""
        return self._ends - time.monotonic() > seconds

    def guard(self, sock: socket.socket) -> None:
        """Let the next read or write on this socket end in time."""
        left, now = self.time_left(), time.monotonic()
        if left < self._each or now - self._set_at > _GRAIN_S:
            sock.settimeout(max(left, _SMALLEST_WAIT_S))
            self._set_at = now


class Reading:
    """One answer as it comes in: what llhttp calls back to."""

    def __init__(self, max_body: int) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self.complete = False
        self.keeps_alive = False
        self.truncated = False
        self._max_body = max_body
        self._parser = HttpResponseParser(self)
        self._fed = self._raw_body = 0
        self._unpack: zlib._Decompress | None = None

    def feed(self, data: bytes) -> None:
        """Take in what has come. Raises ValueError for an answer whose framing takes more than its content."""
        try:
            self._parser.feed_data(data)
        except HttpParserCallbackError as error:
            if not isinstance(error.__context__, _Unasked):
                raise
        self._fed += len(data)
        if self._fed - self._raw_body > _LONGEST_HEAD + _BYTES_A_CHUNK * self._raw_body:
            raise ValueError("an answer of nothing but framing")

    def end(self) -> None:
        """Take in that no more comes. Raises what http.client raises for an answer that is not whole."""
        if not self.status:
            raise http.client.RemoteDisconnected("")
        if "content-length" in self.headers or "transfer-encoding" in self.headers:
            raise http.client.IncompleteRead(b"")
        self.complete = True

    # llhttp's calls

    def on_message_begin(self) -> None:
        """Stop at an answer that nobody asked for."""
        if self.complete:
            self.keeps_alive = False
            raise _Unasked

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; one that comes twice is one list."""
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text

    def on_headers_complete(self) -> None:
        """Note the status, and how the body is packed: we asked for it plain, but answers do as they like."""
        self.status = self._parser.get_status_code()
        packed = self.headers.get("content-encoding", "identity").lower()
        if packed in {"gzip", "x-gzip", "deflate"}:
            self._unpack = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
        elif packed not in {"", "identity"}:
            raise ValueError("an answer packed in a way we did not ask for")

    def on_body(self, part: bytes) -> None:
        """Keep a part of the body, and no more than an answer may have."""
        self._raw_body += len(part)
        room = self._max_body + 1 - len(self.body)
        self.body += self._unpack.decompress(part, max(room, 1)) if self._unpack else part[: max(room, 0)]
        if len(self.body) > self._max_body:
            del self.body[self._max_body :]
            self.truncated = True

    def on_message_complete(self) -> None:
        """Note the end; an interim answer (1xx) only stands before the one that counts."""
        if self.status < http.client.OK:
            self.status, self.headers = 0, {}
            return
        if self._unpack is not None and not self._unpack.eof and not self.truncated and self._raw_body:
            raise ValueError("a packed answer that ends too early")
        self.keeps_alive = bool(self._parser.should_keep_alive())
        self.complete = True


class Connection:
    """A socket, with TLS where the URL says so."""

    def __init__(self, target: Target, timeout: float, tls: ssl.SSLContext) -> None:
        self._sock = socket.create_connection((target.host, target.port), timeout)
        try:
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if target.scheme == "https":
                self._sock = tls.wrap_socket(self._sock, server_hostname=target.host)
        except BaseException:
            self._sock.close()
            raise
        self._poll = select.poll()
        self._poll.register(self._sock, select.POLLIN | select.POLLHUP)
        self.used_at = time.monotonic()

    def is_quiet(self) -> bool:
        """Tell whether nothing has come unasked, the other side's goodbye above all."""
        return not self._poll.poll(0)

    def send(self, data: bytes, deadline: Deadline) -> None:
        """Send it all."""
        view = memoryview(data)
        for start in range(0, len(view), _BLOCK):
            deadline.guard(self._sock)
            self._sock.sendall(view[start : start + _BLOCK])

    def receive(self, max_body: int, deadline: Deadline) -> Reading:
        """Read one answer to its end, or as much of it as an answer may have."""
        reading = Reading(max_body)
        while not reading.complete and not reading.truncated:
            deadline.guard(self._sock)
            data = self._sock.recv(_BLOCK)
            reading.feed(data) if data else reading.end()
        self.used_at = time.monotonic()
        return reading

    def close(self) -> None:
        """Close it, whatever state it is in."""
        self._sock.close()


def head_of(method: str, target: Target, headers: Mapping[str, str]) -> bytes:
    """Write the head of a request. Raises ValueError for what no header can hold."""
    lines = [f"{method} {target.path} HTTP/1.1", f"Host: {target.host_header}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    text = "\r\n".join(lines)
    if text.count("\n") != len(lines) - 1 or text.count("\r") != len(lines) - 1 or "\0" in text:
        raise ValueError("a header with a line break in it")
    return f"{text}\r\n\r\n".encode("latin-1")
