"""requests' own transport adapter over connections that report the first byte, with or without a proxy.

urllib3 opens the connections, requests the tunnel from the proxy, and parses the answers with http.client.
"""

from __future__ import annotations

import functools
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection
from urllib3.poolmanager import PoolManager, ProxyManager

from gaugepost_tasks.http.connection import CHUNK_BYTES
from gaugepost_tasks.http.exchange import Exchange, Headers, Reply, target_of, timeouts
from gaugepost_tasks.http.failures import AnswerTooLarge, as_requests
from gaugepost_tasks.http.tls import tls_context
from gaugepost_tasks.http.urllib3_connections import POOLS, HookRaised

if TYPE_CHECKING:
    import ssl

    from requests import PreparedRequest
    from urllib3.connectionpool import HTTPConnectionPool


class _Tunnels(ProxyManager):
    """Opens a tunnel to every target, even for http://, so that the proxy never sees a request or a credential."""

    def connection_from_host(self, *args: Any, **kwargs: Any) -> HTTPConnectionPool:
        """Return the pool of the target itself, not of the proxy."""
        return PoolManager.connection_from_host(self, *args, **kwargs)


class _PoolOfExchange:
    """A pool for one exchange. `HTTPAdapter.send` calls `urlopen`, which passes the exchange to the connection."""

    def __init__(self, pool: Any, exchange: Exchange) -> None:
        self.urlopen = functools.partial(pool.urlopen, exchange=exchange)


class Urllib3Adapter(HTTPAdapter):
    """Sends prepared requests, each once, through the proxy of the call if it has one. Safe for threads.

    Arguments and guarantees as for `DirectAdapter`. `proxy_tls`: verifies a proxy whose URL is https://.
    """

    def __init__(
        self,
        pool_size: int = 10,
        tls: ssl.SSLContext | None = None,
        timeout: tuple[float, float] = (5.0, 30.0),
        proxy_tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(pool_connections=8, pool_maxsize=pool_size)
        self._pool_size = pool_size
        self._tls = tls or tls_context()
        self._proxy_tls = proxy_tls or tls_context()
        self._timeout = timeout
        self.poolmanager.pool_classes_by_scheme = dict(POOLS)

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
        times = timeouts(timeout, self._timeout)
        with suppress(HookRaised):
            try:
                exchange.begin(*times)
                exchange.head(target_of(exchange.url or ""))  # raise for an invalid header before the hook runs
                reply: Reply = super().send(  # type: ignore[assignment] # pyright: ignore[reportAssignmentType]
                    exchange, stream=True, timeout=times, proxies=proxies
                )
            except Exception as error:
                failure = as_requests(error, exchange)
                if failure is None:
                    raise
                raise failure from error
            if exchange.content.truncated:
                raise AnswerTooLarge(reply)
            return reply
        assert exchange.hook_error is not None  # noqa: S101 - HookRaised was suppressed
        raise exchange.hook_error

    def build_response(self, req: PreparedRequest, resp: Any) -> Reply:
        """Read the answer to its end, or until its body reaches the limit."""
        content = Exchange.of(req).content
        content.status = resp.status
        try:
            content.set_encoding(resp.headers.get("content-encoding", "").lower())
            while not content.truncated and (part := resp.read1(CHUNK_BYTES, decode_content=False)):
                content.add(part)
            content.end()
        except BaseException:
            resp.close()
            raise
        if content.truncated:
            resp.close()
        headers = Headers({})
        for name, value in resp.headers.items():
            headers.add(name, value)
        return Reply(req, self, resp.status, headers, bytes(content.content))

    # Overridden methods of HTTPAdapter

    def get_connection_with_tls_context(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Any:
        """Return the pool of the request's host, for one exchange."""
        pool = super().get_connection_with_tls_context(request, *args, **kwargs)
        return _PoolOfExchange(pool, Exchange.of(request))

    def build_connection_pool_key_attributes(  # type: ignore[override] # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        request: PreparedRequest,
        verify: object,  # noqa: ARG002
        cert: object = None,  # noqa: ARG002
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the host and our TLS context. requests would read the file of authorities for each pool."""
        origin = target_of(request.url or "").origin
        return origin._asdict(), {"ssl_context": self._tls}

    def cert_verify(self, conn: object, url: object, verify: object, cert: object) -> None:
        """Do nothing: the TLS context verifies the certificate and its name."""

    def proxy_manager_for(self, proxy: str, **_: Any) -> ProxyManager:
        """Return the pools behind a proxy."""
        found: ProxyManager | None = self.proxy_manager.get(proxy)
        if found is None:
            found = self.proxy_manager[proxy] = _Tunnels(
                proxy,
                num_pools=8,
                maxsize=self._pool_size,
                proxy_headers=self.proxy_headers(proxy),
                proxy_ssl_context=self._proxy_tls,
                socket_options=HTTPConnection.default_socket_options,  # TCP_NODELAY: no wait for the proxy's ACKs
            )
            found.pool_classes_by_scheme = dict(POOLS)
        return found

    def request_url(self, request: PreparedRequest, proxies: object) -> str:  # noqa: ARG002
        """Return only the path, because the tunnel ends at the target."""
        return target_of(request.url or "").path
