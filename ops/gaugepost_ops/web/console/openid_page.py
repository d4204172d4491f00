"""`/sign-in/openid`: to the provider and back."""

from __future__ import annotations

import asyncio
import hmac
import json
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog
from starlette.responses import RedirectResponse

from gaugepost_ops.web.console.inputs import local_path, see_other
from gaugepost_ops.web.console.openid import Attempt, OpenId, ProviderFailed
from gaugepost_ops.web.console.routes import Console, console_of
from gaugepost_ops.web.problems import Refused

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

log = structlog.get_logger("gaugepost.console")

_COOKIE = "gaugepost-openid"
_ATTEMPT_S = 600
_FAILED = "the sign-in by the provider failed: try again. The log of the gateway has the reason"


def add_routes(console: Console) -> None:
    """Add the routes of this module."""
    console.get("/sign-in/openid", start, role=None)
    console.get("/sign-in/openid/back", back, role=None)


async def start(request: Request) -> Response:
    """Send the browser to the provider."""
    provider, attempt = _provider(request), Attempt.new(local_path(request.query_params.get("next")))
    try:
        address = await asyncio.to_thread(provider.address, attempt)
    except ProviderFailed as error:
        raise _failed(error) from None
    response = RedirectResponse(address, HTTPStatus.SEE_OTHER)
    secure = console_of(request).sessions.is_secure(request)
    response.set_cookie(
        _cookie(secure=secure), json.dumps(attempt).encode().hex(), max_age=_ATTEMPT_S, path="/",
        secure=secure, httponly=True, samesite="lax",
    )  # fmt: skip
    return response


async def back(request: Request) -> Response:
    """Start a session for the person whom the provider names. The cookie shows that this browser began it."""
    provider, sessions = _provider(request), console_of(request).sessions
    secure = sessions.is_secure(request)
    attempt = _attempt(request.cookies.get(_cookie(secure=secure), ""))
    state, code = (request.query_params.get(name, "") for name in ("state", "code"))
    if attempt is None or not code or not hmac.compare_digest(state.encode(), attempt.state.encode()):
        raise Refused(HTTPStatus.FORBIDDEN, "this sign-in was not begun here, or took too long: begin again")
    try:
        person = await asyncio.to_thread(provider.person, attempt, code)
    except ProviderFailed as error:
        raise _failed(error) from None
    if person.role is None:
        raise Refused(HTTPStatus.FORBIDDEN, f"{person.name} has no role here: GAUGEPOST_CONSOLE_OIDC_ROLES gives roles")
    visitor = await sessions.start(person.name, role=person.role)
    if visitor is None:
        raise Refused(HTTPStatus.FORBIDDEN, _FAILED)
    response = see_other(local_path(attempt.next))
    sessions.set_cookie(request, response, visitor)
    response.delete_cookie(_cookie(secure=secure), path="/", secure=secure, httponly=True, samesite="lax")
    return response


def _provider(request: Request) -> OpenId:
    settings = console_of(request).gateway.settings
    if settings.console_oidc_issuer is None:
        raise Refused(HTTPStatus.NOT_FOUND, "no OpenID provider is set: GAUGEPOST_CONSOLE_OIDC_ISSUER")
    return OpenId(settings)


def _cookie(*, secure: bool) -> str:
    return f"__Host-{_COOKIE}" if secure else _COOKIE


def _attempt(text: str) -> Attempt | None:
    with suppress(ValueError, TypeError):
        return Attempt(*map(str, json.loads(bytes.fromhex(text))))
    return None


def _failed(error: ProviderFailed) -> Refused:
    log.warning("OpenID sign-in failed", error=str(error))
    return Refused(HTTPStatus.BAD_GATEWAY, _FAILED)
