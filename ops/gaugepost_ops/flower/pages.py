"""The pages of Flower that are shown, and the guard before each: who has not logged in sees none of them.

Routes are chosen by what they show, so that a new one of a new Flower is not there until somebody has looked at it.
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
from gaugepost_ops.flower.queues import Lengths, QueuesView, watched

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gaugepost.regions import Region
    from gaugepost.settings import Settings

_PAGES = {WorkersView, WorkerView, TaskView, TasksView, TasksDataTable, BrokerView, NotFoundErrorHandler}
_QUESTIONS = {ListWorkers, ListTasks, ListTaskTypes, TaskInfo, GetQueueLengths, Metrics, Healthcheck}
_OPEN = {StaticFileHandler, LogoutHandler}
"""Flower's own style sheets and scripts, and the page that ends a login."""

_LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})


def routes(theirs: Iterable[Any], settings: Settings, region: Region) -> list[URLSpec]:
    """Return Flower's routes without those that act, each behind the guard."""
    return [ours for route in theirs if (ours := _ours(_spec(route), settings, region)) is not None]


def _spec(route: Any) -> URLSpec:  # noqa: ANN401 - a tuple or already one
    return route if isinstance(route, URLSpec) else URLSpec(*route)


def _ours(route: URLSpec, settings: Settings, region: Region) -> URLSpec | None:
    handler, given = route.handler_class, route.kwargs
    if handler is LoginHandler and settings.flower_oidc_issuer is not None:
        given = {"issuer": settings.flower_oidc_issuer, "secure": str(settings.flower_url).startswith("https:")}
        handler = OpenIdLogin
    elif handler in _PAGES | _QUESTIONS:
        given = {"settings": settings, "region": region}
        guard = _GuardedProbe if handler is Healthcheck else _Guarded
        handler = QueuesView if handler is BrokerView else handler
        handler = type(handler.__name__, (guard, handler), {})
    elif handler not in _OPEN:
        return None
    return URLSpec(route.regex.pattern, handler, given, route.name)


class _Guarded:
    """A page for who has logged in; where there is no login, for browsers of this machine that call it by its name."""

    request: Any
    application: Any
    current_user: Any

    def initialize(self, settings: Settings, region: Region) -> None:
        """Take what the route gives."""
        self._ours = settings
        self.watched_queues = watched(settings, region)
        self.lengths = Lengths(settings, region)

    @authenticated
    def prepare(self) -> None:
        """Let pass who may; others are asked to log in."""
        # A page of the web can give its own name our address, and would then be asked as if it were ours.
        if not self._has_login() and self.request.host_name not in self._names():
            raise HTTPError(403)
        super().prepare()  # type: ignore[misc] # a mixin

    def _has_login(self) -> bool:
        return bool(self.application.options.basic_auth or self.application.options.auth)

    def _names(self) -> set[str | None]:
        return {*_LOOPBACK_NAMES, urlsplit(self._ours.flower_url or "").hostname}

    def get_current_user(self) -> Any:  # noqa: ANN401 - Flower's signature
        """Return who it is. Raises HTTPError(401) where Flower fails: at a password that is not ASCII."""
        try:
            return super().get_current_user()  # type: ignore[misc] # a mixin
        except TypeError:
            raise HTTPError(401) from None

    def get_active_queue_names(self) -> list[str]:
        """Return the queues of all regions, also where no worker has said which it reads."""
        return [row["name"] for row in self.watched_queues]

    def get_broker(self) -> Lengths:
        """Return what Flower asks for the lengths of queues."""
        return self.lengths


class _GuardedProbe(_Guarded):
    """`/healthcheck`: says OK to this machine itself, so to a container's own probe, and to who has logged in."""

    def prepare(self) -> None:
        """Let pass who may."""
        if not ipaddress.ip_address(self.request.remote_ip).is_loopback:
            super().prepare()
