"""urllib3 connections that report the first byte, obey one deadline, and limit every answer."""

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

# urllib3 logs header lines that it cannot parse, and a server may quote personal data in them.
logging.getLogger("urllib3.connection").setLevel(logging.CRITICAL)

_LONGEST_LINE = 65_536
# Less than the limit of a head: with Python 3.14's 128 kB one read of a large body would count as endless framing.
_BUFFER_BYTES = 8_192


class HookRaised(BaseException):
    """The hook raised. This is no Exception, because urllib3 would treat that as a failure of the connection."""


class _BoundedReader(io.RawIOBase):
    """Reads a socket within a deadline, and limits the framing of an answer."""

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
    """An answer of the server, or of the proxy to CONNECT, behind a `_BoundedReader`."""

    def __init__(self, content: Body, deadline: Deadline, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        reader = _BoundedReader(self.fp.detach(), sock, content, deadline)
        self.fp = io.BufferedReader(reader, _BUFFER_BYTES)

    def _read_status(self) -> tuple[str, int, str]:
        """Skip all interim answers (1xx). http.client skips only 100."""
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
        """Set the exchange whose deadline and limits apply from now on."""
        self._exchange = exchange
        self._apply_deadline(exchange.deadline)

    def _apply_deadline(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self.response_class = functools.partial(_BoundedResponse, self._exchange.content, deadline)  # type: ignore[assignment]

    def connect(self) -> None:
        """Connect. Raise ProxyError for a failure before the tunnel is open."""
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
        self._apply_deadline(Deadline(timeout, timeout))
        super()._tunnel()
        self._apply_deadline(self._exchange.deadline)
        self.sock.settimeout(timeout)
        self._tunnelled = True

    def is_quiet(self) -> bool:
        """Return whether the socket has no input that we did not ask for. The server's close counts as input."""
        return self.sock is not None and (not input_poll(self.sock).poll(0) or has_tls_records_only(self.sock))

    def send(self, data: Any) -> None:
        """Send all data within the deadline."""
        left = memoryview(data)
        while left:
            self.sock.settimeout(self._deadline.time_left())
            left = left[self._exchange.send_some(self.sock, left[:CHUNK_BYTES]) :]


class _PlainConnection(_Connection):
    """A connection to an http:// target."""

    def _new_conn(self) -> socket.socket:
        """Connect, with TLS to an https:// proxy. urllib3 does that only for https:// targets."""
        sock = super()._new_conn()
        if self.proxy is None or self.proxy.scheme != "https" or self.proxy_config is None:
            return sock
        context = self.proxy_config.ssl_context
        assert context is not None  # noqa: S101 - given by `proxy_manager_for`
        return context.wrap_socket(sock, server_hostname=self.proxy.host)


class _TlsConnection(_Connection, HTTPSConnection):
    """A connection to an https:// target."""


class _Pool(HTTPConnectionPool):
    """The idle connections to one host."""

    ConnectionCls: Any = _PlainConnection

    def _new_conn(self) -> Any:
        connection: Any = super()._new_conn()
        if self.proxy is not None:  # urllib3 would request http:// URLs from the proxy without a tunnel
            connection.host, connection.port = self.proxy.host, self.proxy.port
        return connection

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
        """Do nothing: `_open` requests the tunnel."""

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
        """Connect, call the hook, connect again if the server closed meanwhile, and only then send."""
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
    """The idle connections to one host, over TLS."""

    ConnectionCls: Any = _TlsConnection


POOLS: Mapping[str, type[HTTPConnectionPool]] = {"http": _Pool, "https": _TlsPool}
