"""A transport adapter of requests over `Connection`, at a fifth of the cost of requests' own adapter."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING

from requests.adapters import BaseAdapter
from requests.exceptions import ProxyError
from requests.utils import select_proxy

from gaugepost_tasks.http.connection import Connection, open_socket
from gaugepost_tasks.http.exchange import Exchange, Reply, is_stale, target_of, timeouts
from gaugepost_tasks.http.failures import AnswerTooLarge, as_requests
from gaugepost_tasks.http.tls import tls_context

if TYPE_CHECKING:
    import ssl

    from requests import PreparedRequest

    from gaugepost_tasks.http.connection import AnswerParser
    from gaugepost_tasks.http.exchange import Origin
    from gaugepost_tasks.http.network_guard import NetworkGuard


class DirectAdapter(BaseAdapter):
    """Sends prepared requests, each once, without a proxy. Safe for threads.

        session.mount("https://", DirectAdapter(pool_size=16))

    One exchange takes at most `connect + read + 1` seconds (`timeout` of the call, else of the adapter). Only a slow
    name server can delay it longer; then nothing is sent. `send` receives the whole response before it returns.

    `pool_size`: idle connections to keep for each host. `tls`: verifies servers; `verify` and `cert` of a call have no
    effect. `timeout`: (connect, read) in seconds. `guard`: opens the connections, and refuses some addresses.
    """

    def __init__(
        self,
        pool_size: int = 10,
        tls: ssl.SSLContext | None = None,
        timeout: tuple[float, float] = (5.0, 30.0),
        guard: NetworkGuard | None = None,
    ) -> None:
        super().__init__()
        self._open = guard.open if guard else open_socket
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
        """Send a request once. Raises requests' exceptions, and those of the exchange's `before_first_byte`."""
        exchange = Exchange.of(request)
        if proxies and select_proxy(exchange.url or "", proxies):
            raise ProxyError("DirectAdapter uses no proxy", request=request)
        try:
            parser = self._send_and_receive(exchange, *timeouts(timeout, self._timeout))
        except Exception as error:
            failure = as_requests(error, exchange)
            if failure is None:
                raise
            raise failure from error
        reply = Reply(request, self, parser.status, parser.headers, bytes(exchange.content.content))
        if exchange.content.truncated:
            raise AnswerTooLarge(reply)
        return reply

    def _send_and_receive(self, exchange: Exchange, connect: float, read: float) -> AnswerParser:
        exchange.begin(connect, read)
        target = target_of(exchange.url or "")
        data = exchange.head(target) + exchange.payload()
        connection = self._connection(target.origin, connect)
        try:
            exchange.run_hook()
            if exchange.before_first_byte is not None and not connection.is_quiet():
                connection.close()  # the server closed it meanwhile; nothing was sent on it
                connection = Connection(target.origin, connect, self._tls, self._open)
            exchange.start_request()
            connection.send(data, exchange)
            parser = connection.receive(exchange.content, exchange.deadline)
        except BaseException:
            connection.close()
            raise
        self._put_back(target.origin, connection, reusable=parser.keeps_alive)
        return parser

    def _connection(self, origin: Origin, timeout: float) -> Connection:
        """Take an idle connection that is still usable, or open one."""
        idle = self._idle[origin]
        while (kept := _pop(idle)) is not None:
            if not is_stale(kept.used_at) and kept.is_quiet():
                return kept
            kept.close()
        return Connection(origin, timeout, self._tls, self._open)

    def _put_back(self, origin: Origin, connection: Connection, *, reusable: bool) -> None:
        idle = self._idle[origin]
        if reusable and len(idle) < self._pool_size:
            idle.append(connection)
        else:
            connection.close()

    def close(self) -> None:
        """Close all idle connections."""
        for idle in self._idle.values():
            while idle:
                idle.pop().close()


def _pop(idle: deque[Connection]) -> Connection | None:
    try:
        return idle.pop()
    except IndexError:
        return None
