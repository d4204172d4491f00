"""Observe each request: one line in the log, and metrics. Neither has a path, a query, a header or data of a job."""

from __future__ import annotations

import logging
import time
from http import HTTPStatus
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram

from gaugepost_ops.web.access_log import Served
from gaugepost_ops.web.large_bodies import BODIES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from gaugepost.regions import Region
    from gaugepost_ops.web.access_log import AccessLog

    Denied = Callable[[str, Region, str, str], None]
    Enqueue = Callable[[Scope, Receive, Send], Awaitable[int]]

ENQUEUE = "/v1/jobs"
ROUTE = "gaugepost.route"
KEY = "gaugepost.key"
REGION = "gaugepost.region"
"""A region of the key."""
_UNKNOWN = "-"
_METHODS = frozenset({"GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"})
_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60)


class GatewayMetrics:
    """The metrics of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "gaugepost_gateway_requests", "Requests", ("route", "method", "status"), registry=self.registry
        )
        self._seconds = Histogram(
            "gaugepost_gateway_request_seconds", "Duration", ("route",), registry=self.registry, buckets=_BUCKETS
        )
        self._series: dict[tuple[str, str, int, str | None], tuple[Counter, Histogram, Counter | None]] = {}
        """The series of requests that came before: to look one up by its labels takes as long as to count."""
        self._keys = Counter("gaugepost_gateway_key_requests", "Requests by key", ("key",), registry=self.registry)

    def count(self, route: str, method: str, status: int, key: str | None, seconds: float) -> None:
        """Count one request. Routes, methods and keys have few values, whatever callers send."""
        series = self._series.get((route, method, status, key))
        if series is None:
            of_key = None if key is None else self._keys.labels(key)
            series = self._requests.labels(route, method, str(status)), self._seconds.labels(route), of_key
            self._series[route, method, status, key] = series
        series[0].inc()
        series[1].observe(seconds)
        if series[2] is not None:
            series[2].inc()


class Observed:
    """An ASGI application whose requests are logged and counted."""

    def __init__(self, enqueue: Enqueue, app: ASGIApp, metrics: GatewayMetrics, log: AccessLog, denied: Denied) -> None:
        self._enqueue = enqueue
        self._app = app
        self._metrics = metrics
        self._log = log
        self._denied = denied

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 0
        started = time.perf_counter()
        if scope["path"] == ENQUEUE and scope["method"] == "POST":
            try:
                status = await self._enqueue(scope, receive, send)
            finally:
                self.note(scope, status, time.perf_counter() - started)
            return

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        finally:
            self.note(scope, status, time.perf_counter() - started)

    def note(self, scope: Scope, status: int, seconds: float) -> None:
        """Count and log a request, and release its body. Status 0: the caller went away before the answer."""
        route = str(scope.get(ROUTE) or getattr(scope.get("route"), "path", _UNKNOWN))
        method = scope["method"] if scope["method"] in _METHODS else _UNKNOWN
        key = scope.get(KEY)
        BODIES.release(scope)
        if status == HTTPStatus.FORBIDDEN and REGION in scope:
            self._denied(scope[KEY], scope[REGION], method, route)
        self._metrics.count(route, method, status, key, seconds)
        client = scope["client"][0] if scope.get("client") else None
        self._log.note(Served(route, method, status, seconds, key, client), _level(route, status))


def _level(route: str, status: int) -> int:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return logging.WARNING
    return logging.DEBUG if route in _QUIET else logging.INFO
