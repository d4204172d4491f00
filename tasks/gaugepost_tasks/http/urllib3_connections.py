"""Connections of urllib3 that report the first byte, read within one deadline, and end every answer."""

from __future__ import annotations

import functools
import http.client
import io
import logging
import time
from typing import TYPE_CHECKING, Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, ProxyError

from gaugepost_tasks.http.connection import CHUNK_BYTES, has_tls_records_only, input_poll
from gaugepost_tasks.http.exchange import Deadline, is_stale

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

    from urllib3 import BaseHTTPResponse

    from gaugepost_tasks.http.body import Body
    from gaugepost_tasks.http.exchange import Exchange

# urllib3 logs lines of an answer's head that it cannot read, and servers like to quote what they were sent.
logging.getLogger("urllib3.connection").setLevel(logging.CRITICAL)

_LONGEST_LINE = 65_536
# Less than a head may have: Python 3.14's own 128 kB would take a large body, read at once, for endless framing.
_BUFFER_BYTES = 8_192


class HookRaised(BaseException):
    """The hook refused. Not an Exception, which urllib3 would take for a failure of the connection."""


class _BoundedReader(io.RawIOBase):
    """Reads a socket within a deadline, and no more than an answer may take."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, content: Body, deadline: Deadline) -> None:
        self._raw, self._sock, self._content, self._deadline = raw, sock, content, deadline
        self._received = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(self._deadline.time_left())
        count: int | None = self._raw.readinto(buffer)
        self._received += count or 0
        self._content.check_framing(self._received)
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _BoundedResponse(http.client.HTTPResponse):
    """An answer of the server, or of the proxy to CONNECT, read by a bounded reader."""

    def __init__(self, content: Body, deadline: Deadline, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        reader = _BoundedReader(self.fp.detach(), sock, content, deadline)
        self.fp = io.BufferedReader(reader, _BUFFER_BYTES)

    def _read_status(self) -> tuple[str, int, str]:
        """Pass over interim answers: http.client knows 100 alone."""
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]
            if not http.client.CONTINUE <= status < http.client.OK:
                return version, status, reason
            while self.fp.readline(_LONGEST_LINE) not in {b"\r\n", b"\n", b""}:
                pass


class _Connection(HTTPConnection):
    """A connection that carries one exchange after another."""

    used_at = 0.0
    _tunnelled = False

    def carry(self, exchange: Exchange) -> None:
        """Take an exchange, whose deadline and limits count from now on."""
        self._exchange = exchange
        self._count_to(exchange.deadline)

    def _count_to(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self.response_class = functools.partial(_BoundedResponse, self._exchange.content, deadline)  # type: ignore[assignment]

    def connect(self) -> None:
        """Connect. What fails before a tunnel is there is a failure of the proxy."""
        self._tunnelled = False
        try:
            super().connect()
        except (OSError, ValueError, HTTPError, http.client.HTTPException) as error:
            if self.proxy is None or self._tunnelled:
                raise
            raise ProxyError("no tunnel", error) from error
        self.used_at = time.monotonic()

    def _tunnel(self) -> None:
        timeout: Any = self.timeout
        self._count_to(Deadline(timeout, timeout))
        super()._tunnel()
        self._count_to(self._exchange.deadline)
        self.sock.settimeout(timeout)
        self._tunnelled = True

    def is_quiet(self) -> bool:
        """Return whether nothing has come unasked, the end of the connection above all."""
        return self.sock is not None and (not input_poll(self.sock).poll(0) or has_tls_records_only(self.sock))

    def send(self, data: Any) -> None:
        """Send it all, within the deadline."""
        left = memoryview(data)
        while left:
            self.sock.settimeout(self._deadline.time_left())
            left = left[self._exchange.send_some(self.sock, left[:CHUNK_BYTES]) :]


class _PlainConnection(_Connection):
    """A connection to an http:// target."""

    def _new_conn(self) -> socket.socket:
        """Connect, with TLS to a proxy that wants it: urllib3 does that for https:// targets alone."""
        sock = super()._new_conn()
        if self.proxy is None or self.proxy.scheme != "https" or self.proxy_config is None:
            return sock
        context = self.proxy_config.ssl_context
        assert context is not None  # noqa: S101 - given by `proxy_manager_for`
        return context.wrap_socket(sock, server_hostname=self.proxy.host)


class _TlsConnection(_Connection, HTTPSConnection):
    """A connection to an https:// target."""


class _Pool(HTTPConnectionPool):
    """The kept connections to one host."""

    ConnectionCls: Any = _PlainConnection

    def _new_conn(self) -> Any:
        made: Any = super()._new_conn()
        if self.proxy is not None:  # urllib3 asks the proxy itself for what http:// URLs name
            made.host, made.port = self.proxy.host, self.proxy.port
        return made

    def _get_conn(self, timeout: float | None = None) -> Any:
        conn: Any = super()._get_conn(timeout)
        if is_stale(conn.used_at) or not conn.is_quiet():
            conn.close()
        return conn

    def _put_conn(self, conn: Any) -> None:
        if conn is not None:
            conn.used_at = time.monotonic()
        super()._put_conn(conn)

    def _prepare_proxy(self, conn: Any) -> None:
        """Do nothing: `_open` asks for the tunnel."""

    def _open(self, conn: Any, exchange: Exchange) -> None:
        conn.carry(exchange)
        if not conn.is_closed:
            return
        if self.proxy is not None:
            conn.set_tunnel(self._tunnel_host, self.port, self.proxy_headers, self.proxy.scheme)
        conn.connect()

    def _make_request(  # type: ignore[override]
        self,
        conn: Any,
        *args: Any,
        exchange: Exchange,
        **kwargs: Any,
    ) -> BaseHTTPResponse:
        """Connect, call the hook, see to a quiet connection, and only then send."""
        self._open(conn, exchange)
        try:
            exchange.run_hook()
        except BaseException as error:
            if error is exchange.hook_error:
                raise HookRaised from None
            raise
        if not conn.is_quiet():
            conn.close()
            self._open(conn, exchange)
        exchange.start_request()
        return super()._make_request(conn, *args, **kwargs)


class _TlsPool(_Pool, HTTPSConnectionPool):
    """The kept connections to one host, over TLS."""

    ConnectionCls: Any = _TlsConnection


POOLS: Mapping[str, type[HTTPConnectionPool]] = {"http": _Pool, "https": _TlsPool}
