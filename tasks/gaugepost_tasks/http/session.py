"""gaugepost's HTTP client: it sends one request and reports whether any of it was sent.

Whether a job may be repeated depends on one fact: was the first byte sent? A failure before it is `unreachable`, a
failure after it is `lost_answer`, whatever its type.
"""

from __future__ import annotations

import functools
import time
from importlib import metadata
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

import requests

from gaugepost_tasks.http.direct import DirectAdapter
from gaugepost_tasks.http.exchange import MAX_ANSWER_BYTES, Exchange, Headers, target_of
from gaugepost_tasks.http.failures import AnswerTooLarge, describe
from gaugepost_tasks.http.network_guard import AddressRefused
from gaugepost_tasks.http.tls import tls_context
from gaugepost_tasks.http.urllib3_adapter import Urllib3Adapter
from gaugepost_tasks.http_messages import Answer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gaugepost.regions import Region
    from gaugepost.settings import Settings
    from gaugepost_tasks.http.network_guard import NetworkGuard
    from gaugepost_tasks.http_messages import Failure, Request


class HttpClient:
    """Sends requests. Safe for threads.

    One exchange takes at most `connect_timeout + read_timeout + 1` seconds. Only a slow name server can delay it
    longer; then nothing is sent.

    * `connect_timeout`, `read_timeout`: seconds.
    * `pool_size`: idle connections to keep for each host.
    * `max_answer_bytes`: limit of a body.
    * `ca_file`: PEM file of trusted authorities.
    * `client_cert`: PEM files of (certificate, key); key None if the first file holds both.
    * `proxy_url`: send every request through a tunnel of this proxy, over urllib3.
    * `guard`: refuse requests to some addresses. Behind a proxy, which resolves names itself, it checks less.
    * `status_is_enough`: an answer counts once its head has arrived, whatever becomes of its body.

    Raises SettingsError for a file that cannot be used.
    """

    def __init__(  # noqa: PLR0913 - a setting each
        self,
        connect_timeout: float,
        read_timeout: float,
        pool_size: int,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        *,
        ca_file: Path | str | None = None,
        client_cert: tuple[Path, Path | None] | None = None,
        proxy_url: str | None = None,
        adapter: Literal["direct", "urllib3"] = "direct",
        guard: NetworkGuard | None = None,
        status_is_enough: bool = False,
    ) -> None:
        self._guard = guard
        self._status_is_enough = status_is_enough
        self._timeout = (connect_timeout, read_timeout)
        self._max_answer_bytes = max_answer_bytes
        self._proxies = {"all": proxy_url} if proxy_url else None
        self._proxy = host_of(proxy_url) if proxy_url else ""
        tls = tls_context(ca_file, *(client_cert or ()))
        self._adapter: DirectAdapter | Urllib3Adapter
        if adapter == "direct" and not proxy_url:
            self._adapter = DirectAdapter(pool_size, tls, guard=guard)
        else:
            self._adapter = Urllib3Adapter(pool_size, tls, proxy_tls=tls_context(ca_file))

    @classmethod
    def of(cls, settings: Settings, region: Region, pool_size: int) -> HttpClient:
        """Create the client of one region. Raises SettingsError for a file that cannot be used."""
        proxy = settings.proxy(region)
        return cls(
            settings.connect_timeout,
            settings.read_timeout,
            pool_size,
            ca_file=settings.ca_file,
            client_cert=(settings.client_cert, settings.client_key) if settings.client_cert else None,
            proxy_url=proxy.get_secret_value() if proxy else None,
            adapter=settings.http_adapter,
        )

    def exchange(
        self,
        request: Request,
        credential_header: str,
        before_first_byte: Callable[[], None] | None = None,
        *,
        max_answer_bytes: int | None = None,
    ) -> Answer:
        """Send a request once and return its answer or failure. Never follow a redirect, never repeat.

        `credential_header`: the value of Authorization, "" for none. `before_first_byte`: called once, after connecting
        and before sending; if it raises, nothing is sent and its exception is raised unchanged. `max_answer_bytes`:
        limit of this body, in place of the client's own.
        """
        started = time.monotonic()
        exchange = _prepared(request, credential_header)
        exchange.before_first_byte = before_first_byte
        exchange.max_answer_bytes = max_answer_bytes or self._max_answer_bytes
        try:
            if self._guard is not None and self._proxies:
                self._guard.check_name(target_of(request.url).origin)
            response = self._adapter.send(exchange, timeout=self._timeout, proxies=self._proxies)
        except AnswerTooLarge as error:
            cut, detail = error.reply, f"the answer is larger than {exchange.max_answer_bytes} bytes"
            ms = _ms_since(started)
            return Answer(cut.status_code, cut.headers, cut.content, detail=detail, ms=ms, truncated=True)
        except AddressRefused as error:
            return Answer(None, failure="unreachable", detail=describe(error), ms=_ms_since(started))
        except requests.RequestException as error:
            if error is exchange.hook_error:
                raise
            if self._status_is_enough and exchange.content.status is not None:
                return Answer(exchange.content.status, detail=describe(error), ms=_ms_since(started), truncated=True)
            failure: Failure = "lost_answer" if exchange.first_byte_sent else "unreachable"
            at_proxy = isinstance(error, requests.exceptions.ProxyError)
            detail = f"proxy: {self._proxy}: {describe(error)}" if at_proxy else describe(error)
            return Answer(None, failure=failure, detail=detail, ms=_ms_since(started), at_proxy=at_proxy)
        return Answer(response.status_code, response.headers, response.content, ms=_ms_since(started))

    def close(self) -> None:
        """Close all idle connections."""
        self._adapter.close()


def host_of(url: str) -> str:
    """Return host and port of a URL, without user and password."""
    return urlsplit(url).netloc.rpartition("@")[2]


def _prepared(request: Request, credential_header: str) -> Exchange:
    """Build an exchange without `prepare()`, which would cost more than sending."""
    exchange = Exchange()
    exchange.method, exchange.url, exchange.body = request.method, request.url, request.body or None
    headers = {**request.headers, "User-Agent": user_agent(), "Accept-Encoding": "identity"}
    if credential_header:
        headers["Authorization"] = credential_header
    if request.body:
        headers["Content-Length"] = str(len(request.body))
    exchange.headers = Headers(headers)
    return exchange


def _ms_since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


@functools.cache
def user_agent() -> str:
    """Return `gaugepost/<version>`. The version is 0 if gaugepost is not installed."""
    try:
        return f"gaugepost/{metadata.version('gaugepost')}"
    except metadata.PackageNotFoundError:
        return "gaugepost/0"
