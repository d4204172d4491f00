"""The pages of Flower that gaugepost serves, each behind the login.

It is a list of allowed pages. So a page that a new version of Flower adds is not served until it is reviewed.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flower.api.tasks import GetQueueLengths, ListTasks, ListTaskTypes, TaskInfo
from flower.api.workers import ListWorkers
from flower.views.auth import LoginHandler, LogoutHandler
from flower.views.broker import BrokerView
from flower.views.error import NotFoundErrorHandler
from flower.views.monitor import Healthcheck, Metrics
from flower.views.tasks import TasksDataTable, TasksView, TaskView
from flower.views.workers import WorkersView, WorkerView
from tornado.routing import URLSpec
from tornado.web import HTTPError, StaticFileHandler, authenticated

from gaugepost_ops.flower.openid import OpenIdLogin
from gaugepost_ops.flower.queues import QueueLengths, QueuesView, queue_rows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gaugepost.regions import Region
    from gaugepost.settings import Settings

_PAGES = {WorkersView, WorkerView, TaskView, TasksView, TasksDataTable, BrokerView, NotFoundErrorHandler}
_API = {ListWorkers, ListTasks, ListTaskTypes, TaskInfo, GetQueueLengths, Metrics, Healthcheck}
_OPEN = {StaticFileHandler, LogoutHandler}
"""Pages that need no login: style sheets, scripts, and the page that ends a login."""

_LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})


def routes(theirs: Iterable[Any], settings: Settings, region: Region) -> list[URLSpec]:
    """Return the allowed ones of Flower's routes, each behind the login."""
    return [ours for route in theirs if (ours := _kept_route(_spec(route), settings, region)) is not None]


def _spec(route: Any) -> URLSpec:  # noqa: ANN401 - a tuple or already one
    return route if isinstance(route, URLSpec) else URLSpec(*route)


def _kept_route(route: URLSpec, settings: Settings, region: Region) -> URLSpec | None:
    handler, given = route.handler_class, route.kwargs
    if handler is LoginHandler and settings.flower_oidc_issuer is not None:
        given = {"issuer": settings.flower_oidc_issuer, "secure": str(settings.flower_url).startswith("https:")}
        handler = OpenIdLogin
    elif handler in _PAGES | _API:
        given = {"settings": settings, "region": region}
        mixin = _HealthcheckPage if handler is Healthcheck else _LoginRequired
        handler = QueuesView if handler is BrokerView else handler
        handler = type(handler.__name__, (mixin, handler), {})
    elif handler not in _OPEN:
        return None
    return URLSpec(route.regex.pattern, handler, given, route.name)


class _LoginRequired:
    """A page that needs a login. If none is set, it answers only requests of this machine to a loopback name."""

    request: Any
    application: Any
    current_user: Any

    def initialize(self, settings: Settings, region: Region) -> None:
        """Store the route's arguments."""
        self._ours = settings
        self.queues_shown = queue_rows(settings, region)
        self.lengths = QueueLengths(settings, region)

    @authenticated
    def prepare(self) -> None:
        """Refuse a request without login; without any login set, refuse foreign host names (HTTP 403)."""
        # DNS rebinding: a foreign web page can point its own name to 127.0.0.1, and would then read our pages.
        if not self._has_login() and self.request.host_name not in self._names():
            raise HTTPError(403)
        super().prepare()  # type: ignore[misc] # a mixin

    def _has_login(self) -> bool:
        return bool(self.application.options.basic_auth or self.application.options.auth)

    def _names(self) -> set[str | None]:
        return {*_LOOPBACK_NAMES, urlsplit(self._ours.flower_url or "").hostname}

    def get_current_user(self) -> Any:  # noqa: ANN401 - Flower's signature
        """Return the user. Raises HTTPError(401) for a password that is not ASCII, on which Flower raises TypeError."""
        try:
            return super().get_current_user()  # type: ignore[misc] # a mixin
        except TypeError:
            raise HTTPError(401) from None

    def get_active_queue_names(self) -> list[str]:
        """Return the names of all regions' queues, even if no worker has announced them."""
        return [row["name"] for row in self.queues_shown]

    def get_broker(self) -> QueueLengths:
        """Return the object from which Flower reads queue lengths."""
        return self.lengths


class _HealthcheckPage(_LoginRequired):
    """`/healthcheck`: needs no login from this machine, so that the probe of a container can read it."""

    def prepare(self) -> None:
        """Ask for a login unless the request comes from this machine."""
        if not ipaddress.ip_address(self.request.remote_ip).is_loopback:
            super().prepare()
