"""The ASGI application of the console: it answers the routes of its pages, and passes all other requests on.

Each request meets the same checks in the same order: where it comes from, who sends it, and whether that role may.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response

from gaugepost.errors import GaugepostError
from gaugepost_ops.web.console.inputs import require_same_origin
from gaugepost_ops.web.console.openid import OpenId
from gaugepost_ops.web.console.pages import add_all_routes
from gaugepost_ops.web.console.recording import note_denial
from gaugepost_ops.web.console.rendering import HEADERS, bare_page, has_visitor, page
from gaugepost_ops.web.console.routes import CONSOLE, Console
from gaugepost_ops.web.console.sessions import Sessions, set_visitor
from gaugepost_ops.web.console.snapshots import Snapshots
from gaugepost_ops.web.large_bodies import BODIES
from gaugepost_ops.web.observed import ROUTE
from gaugepost_ops.web.problems import Refused, of_disk, refused

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from gaugepost_ops.web.console.routes import ConsoleRoute
    from gaugepost_ops.web.gateway import Gateway

log = structlog.get_logger("gaugepost.console")

_OF_PROGRAMS = ("/v1/", "/docs", "/openapi.json", "/healthz", "/readyz", "/metrics", "/customergauge")
_TITLES = {
    HTTPStatus.FORBIDDEN: "Not allowed",
    HTTPStatus.NOT_FOUND: "Not found",
    HTTPStatus.METHOD_NOT_ALLOWED: "Not possible here",
    HTTPStatus.CONFLICT: "Not changed",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Something is wrong",
    HTTPStatus.SERVICE_UNAVAILABLE: "Not available now",
}
_NOT_SAFE = (
    "The console needs https:// (or this machine's own address): a password over plain HTTP can be read on its way. "
    "Behind a proxy with TLS, start `gaugepost serve --proxy-headers`, or set GAUGEPOST_CONSOLE_URL to its address."
)


class ConsoleApplication:
    """The console before `rest`, the application of the gateway."""

    def __init__(self, gateway: Gateway, rest: ASGIApp) -> None:
        provider = None if gateway.settings.console_oidc_issuer is None else OpenId(gateway.settings)
        self.console = Console(gateway, Sessions(gateway.store), Snapshots(gateway.store), provider)
        add_all_routes(self.console)
        self._rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"].startswith(_OF_PROGRAMS):
            await self._rest(scope, receive, send)
            return
        route, values, methods = self.console.find(scope["method"], scope["path"])
        if not methods and b"text/html" not in dict(scope["headers"]).get(b"accept", b""):
            await self._rest(scope, receive, send)
            return
        scope[CONSOLE], scope["path_params"] = self.console, dict(values)
        request = Request(scope, receive)
        try:
            response = await self._answer(request, route, methods)
        except ClientDisconnect:
            return
        finally:
            BODIES.release(scope)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        await response(scope, receive, send)

    async def _answer(self, request: Request, route: ConsoleRoute | None, methods: tuple[str, ...]) -> Response:
        """Return the answer; an error becomes a page."""
        try:
            if route is None:
                return await self._not_found(request, methods)
            request.scope[ROUTE] = route.path
            return await self._checked(request, route)
        except ClientDisconnect:
            raise
        except Refused as error:
            return _error_page(request, error)
        except GaugepostError as error:
            return _error_page(request, refused(error))
        except Exception as error:  # a page says so, and the log has the reason
            if isinstance(refusal := of_disk(error), Refused):
                return _error_page(request, refusal)
            log.exception("failed")
            text = "the console failed: the log of the gateway has the reason"
            return _error_page(request, Refused(HTTPStatus.INTERNAL_SERVER_ERROR, text))

    async def _checked(self, request: Request, route: ConsoleRoute) -> Response:
        """Check a request and run its endpoint. Raises Refused."""
        sessions = self.console.sessions
        if not request.url.path.startswith("/static/") and not sessions.is_protected(request):
            raise Refused(HTTPStatus.FORBIDDEN, _NOT_SAFE)
        if route.method == "POST":
            require_same_origin(request, is_secure=sessions.is_secure(request))
        if route.role is None:
            return await route.endpoint(request)
        visitor = await sessions.find(request)
        if visitor is None:
            return _to_sign_in(request)
        set_visitor(request, visitor)
        if not visitor.may(route.role):
            note_denial(self.console, visitor, route)
            text = (
                f"this needs the role {route.role}, and {visitor.name} is {visitor.role}: nothing was changed. "
                "An admin gives roles: `gaugepost users add NAME --role …`"
            )
            raise Refused(HTTPStatus.FORBIDDEN, text)
        return await route.endpoint(request)

    async def _not_found(self, request: Request, methods: tuple[str, ...]) -> Response:
        visitor = await self.console.sessions.find(request)
        if visitor is not None:
            set_visitor(request, visitor)
        if methods:
            allowed = {"Allow": ", ".join(methods)}
            raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "this page has no such action", headers=allowed)
        raise Refused(HTTPStatus.NOT_FOUND, "there is no such page")


def _to_sign_in(request: Request) -> Response:
    """Send the person to the sign-in, and back to this page afterwards. A change is not repeated."""
    address = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    wanted = f"/sign-in?next={quote(address, safe='/')}" if request.method == "GET" else "/sign-in"
    if "hx-request" in request.headers:
        return Response(status_code=HTTPStatus.UNAUTHORIZED, headers=HEADERS | {"HX-Redirect": wanted})
    return RedirectResponse(wanted, HTTPStatus.SEE_OTHER, headers=HEADERS)


def _error_page(request: Request, error: Refused) -> Response:
    ends = "" if error.detail.endswith((".", "…")) else "."
    shown: dict[str, Any] = {
        "title": _TITLES.get(error.status, error.status.phrase),
        "detail": error.detail + ends,
        "can_retry": error.status is HTTPStatus.SERVICE_UNAVAILABLE and request.method == "GET",
    }
    if has_visitor(request):
        response = page(request, "error.html", status=error.status, **shown)
    else:
        response = bare_page("bare_error.html", status=error.status, **shown)
    response.headers.update(error.headers)
    return response
