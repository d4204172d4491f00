"""`Console`: the routes of all pages with their roles, and what pages share."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from starlette.routing import compile_path

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from re import Pattern

    from starlette.requests import Request
    from starlette.responses import Response

    from gaugepost.ledger.users import Role
    from gaugepost_ops.web.console.openid import OpenId
    from gaugepost_ops.web.console.sessions import Sessions
    from gaugepost_ops.web.console.snapshots import Snapshots
    from gaugepost_ops.web.gateway import Gateway

    Endpoint = Callable[[Request], Awaitable[Response]]

CONSOLE = "gaugepost.console"


class Nav(NamedTuple):
    """A page's place in the navigation: `g` and then the key open it."""

    title: str
    key: str


class ConsoleRoute(NamedTuple):
    """A route. `role`: who may call it; None: everyone, also without a session."""

    method: str
    path: str
    endpoint: Endpoint
    role: Role | None
    action: str
    nav: Nav | None
    pattern: Pattern[str]


class Console:
    """The routes of all pages, and what pages share. `add_routes` of each page calls `get` and `post`."""

    def __init__(self, gateway: Gateway, sessions: Sessions, snapshots: Snapshots, provider: OpenId | None) -> None:
        self.gateway = gateway
        self.sessions = sessions
        self.provider = provider
        self.snapshots = snapshots
        self.routes: list[ConsoleRoute] = []

    def get(self, path: str, endpoint: Endpoint, *, role: Role | None, nav: Nav | None = None) -> None:
        """Add a page. It must change nothing."""
        self._add("GET", path, endpoint, role, "", nav)

    def post(self, path: str, endpoint: Endpoint, *, role: Role | None, action: str) -> None:
        """Add a change. `action`: its name in the audit trail."""
        self._add("POST", path, endpoint, role, action, None)

    def _add(self, method: str, path: str, endpoint: Endpoint, role: Role | None, action: str, nav: Nav | None) -> None:
        self.routes.append(ConsoleRoute(method, path, endpoint, role, action, nav, compile_path(path)[0]))

    def find(self, method: str, path: str) -> tuple[ConsoleRoute | None, Mapping[str, str], tuple[str, ...]]:
        """Return the route of a request, the values in its path, and the methods that the path has."""
        found = [(route, match) for route in self.routes if (match := route.pattern.match(path))]
        wanted = "GET" if method == "HEAD" else method
        methods = tuple(dict.fromkeys(route.method for route, _ in found))
        for route, match in found:
            if route.method == wanted:
                return route, match.groupdict(), methods
        return None, {}, methods

    def navigation(self, role: Role) -> list[tuple[str, Nav]]:
        """Return the pages of the navigation that a role may see."""
        return [(one.path, one.nav) for one in self.routes if one.nav and one.role and role.may(one.role)]


def console_of(request: Request) -> Console:
    """Return the console of a request."""
    console: Console = request.scope[CONSOLE]
    return console
