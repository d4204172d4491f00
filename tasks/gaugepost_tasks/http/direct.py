"""A transport adapter of requests over connections of our own, for a fifth of the cost of requests' own adapter."""

from __future__ import annotations

import ssl
import time
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any

import certifi
from requests.adapters import BaseAdapter
from requests.exceptions import ProxyError
from requests.utils import select_proxy

from gaugepost_tasks.http.connection import Connection
from gaugepost_tasks.http.exchange import Deadline, Exchange, Origin, Reply, target_of
from gaugepost_tasks.http.failures import AnswerTooLarge, as_requests

if TYPE_CHECKING:
    from requests import PreparedRequest

    from gaugepost_tasks.http.connection import Reading
    from gaugepost_tasks.http.exchange import Target

MAX_IDLE_S = 4.0
"""A kept connection idle for longer is not used again: servers close theirs from 5 s on, and a request that meets
such a close looks exactly like a lost answer."""


class DirectAdapter(BaseAdapter):
    """Sends prepared requests, from any number of threads, each once and without a proxy.

        session.mount("https://", DirectAdapter(pool_size=16))

    One exchange takes `connect + read + 1` seconds at most (`timeout` of the call, else `timeout` of the adapter). Only
    a name server that does not answer can hold it longer, and then nothing is sent any more. The response is read
    whole before it is returned. `pool_size` is how many idle connections per host are kept. TLS is verified by `tls`,
    whatever `verify` and `cert` a call brings.
    """

    def __init__(
        self, pool_size: int = 10, tls: ssl.SSLContext | None = None, timeout: tuple[float, float] = (5.0, 30.0)
    ) -> None:
        super().__init__()
        self._pool_size = pool_size
        self._tls = tls or tls_context()
        self._timeout = timeout
        self._idle: defaultdict[Origin, deque[Connection]] = defaultdict(deque)

    def send(  # type: ignore[override]
        self,
        request: PreparedRequest,
        stream: bool = False,  # noqa: ARG002, FBT001, FBT002 - requests' own signature
        timeout: float | tuple[float, float] | None = None,
        verify: bool | str = True,  # noqa: ARG002, FBT001, FBT002
        cert: object = None,  # noqa: ARG002
        proxies: dict[str, str] | None = None,
    ) -> Reply:
        """Send a request once. Raises requests' exceptions, and what `before_first_byte` of an `Exchange` raises."""
        exchange = Exchange.of(request)
        if proxies and select_proxy(exchange.url or "", proxies):
            raise ProxyError("DirectAdapter uses no proxy", request=request)
        try:
            reading = self._converse(exchange, *_timeouts(timeout, self._timeout))
        except Exception as error:
            failure = as_requests(error, exchange)
            if failure is None:
                raise
            raise failure from error
        reply = Reply(request, self, reading.status, reading.headers, bytes(reading.body.content))
        if reading.body.truncated:
            raise AnswerTooLarge(reply)
        return reply

    def _converse(self, exchange: Exchange, connect: float, read: float) -> Reading:
        deadline = Deadline(connect + read + 1, read)
        target = target_of(exchange.url or "")
        data = exchange.written(target)
        connection = self._connection(target.origin, connect)
        try:
            deadline.need(read / 2)  # there must be time for an answer
            if exchange.before_first_byte is not None:
                exchange.ask()
                if not connection.is_quiet():  # it was closed meanwhile, and nothing has gone out on it
                    connection.close()
                    connection = Connection(target.origin, connect, self._tls)
                deadline.need(0)
            exchange.departed = True
            connection.send(data, deadline)
            reading = connection.receive(exchange.max_answer_bytes, deadline)
        except BaseException:
            connection.close()
            raise
        self._put_back(target, connection, reusable=reading.keeps_alive)
        return reading

    def _connection(self, origin: Origin, timeout: float) -> Connection:
        """Take a kept connection that nothing has happened to, or make one."""
        idle = self._idle[origin]
        while (kept := _pop(idle)) is not None:
            if time.monotonic() - kept.used_at <= MAX_IDLE_S and kept.is_quiet():
                return kept
            kept.close()
        return Connection(origin, timeout, self._tls)

    def _put_back(self, target: Target, connection: Connection, *, reusable: bool) -> None:
        idle = self._idle[target.origin]
        if reusable and len(idle) < self._pool_size:
            idle.append(connection)
        else:
            connection.close()

    def close(self) -> None:
        """Close all kept connections."""
        for idle in self._idle.values():
            while idle:
                idle.pop().close()


def tls_context(ca_file: str | None = None) -> ssl.SSLContext:
    """Return a context that trusts the authorities in `ca_file`, or else certifi's.

    Not the default context: SSLKEYLOGFILE would write its keys down.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ca_file or certifi.where())
    return context


def _timeouts(timeout: Any, default: tuple[float, float]) -> tuple[float, float]:  # noqa: ANN401 - what requests takes
    """Read a timeout as requests does: a number for both, or connect and read."""
    connect, read = timeout if isinstance(timeout, tuple) else (timeout, timeout)
    return (default[0] if connect is None else connect, default[1] if read is None else read)


def _pop(idle: deque[Connection]) -> Connection | None:
    try:
        return idle.pop()
    except IndexError:
        return None
