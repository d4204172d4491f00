"""`/sign-in/openid`: to the provider and back."""

from __future__ import annotations

import hmac
import json
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog
from starlette.responses import RedirectResponse

from gaugepost_ops.web.console.inputs import local_path, see_other
from gaugepost_ops.web.console.openid import Attempt, OpenId
from gaugepost_ops.web.console.openid_calls import ProviderAway, ProviderFailed
from gaugepost_ops.web.console.recording import note_failure, note_sign_in
from gaugepost_ops.web.console.routes import Console, console_of
from gaugepost_ops.web.problems import Refused

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from gaugepost_ops.web.console.openid import Person
    from gaugepost_ops.web.console.session_reads import Visitor

log = structlog.get_logger("gaugepost.console")

_COOKIE = "gaugepost-openid"
_ATTEMPT_S = 600
_FAILED = "the sign-in by the provider failed: try again. The log of the gateway has the reason"
_AWAY = (
    "the OpenID provider does not answer, so it cannot sign you in: try again in a minute. "
    "`gaugepost users link NAME` signs in without it"
)


def add_routes(console: Console) -> None:
    """Add the routes of this module."""
    console.get("/sign-in/openid", start, role=None)
    console.get("/sign-in/openid/back", back, role=None)


async def start(request: Request) -> Response:
    """Send the browser to the provider."""
    provider, attempt = _provider(request), Attempt.new(local_path(request.query_params.get("next")))
    try:
        address = await provider.address(attempt)
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
    provider, console = _provider(request), console_of(request)
    secure = console.sessions.is_secure(request)
    attempt = _attempt(request.cookies.get(_cookie(secure=secure), ""))
    state, code = (request.query_params.get(name, "") for name in ("state", "code"))
    if attempt is None or not code or not hmac.compare_digest(state.encode(), attempt.state.encode()):
        raise Refused(HTTPStatus.FORBIDDEN, "this sign-in was not begun here, or took too long: begin again")
    try:
        person = await provider.person(attempt, code)
    except ProviderFailed as error:
        raise _failed(error) from None
    visitor = await _start(console, person)
    note_sign_in(console, visitor, "provider")
    response = see_other(local_path(attempt.next))
    await console.sessions.replace(request, response, visitor)
    response.delete_cookie(_cookie(secure=secure), path="/", secure=secure, httponly=True, samesite="lax")
    return response


async def _start(console: Console, person: Person) -> Visitor:
    """Start a session. Raises Refused for a person without a role, and for one who has the name of a user."""
    visitor = None if person.role is None else await console.sessions.start(person.name, role=person.role)
    if visitor is not None:
        return visitor
    note_failure(console, person.name, "provider")
    if person.role is None:
        raise Refused(HTTPStatus.FORBIDDEN, f"{person.name} has no role here: GAUGEPOST_CONSOLE_OIDC_ROLES gives roles")
    text = (
        f"{person.name} is the name of a user who signs in by a password, so it cannot be that of a person of the "
        "provider: sign in by the password, or let an admin remove that user"
    )
    raise Refused(HTTPStatus.FORBIDDEN, text)


def _provider(request: Request) -> OpenId:
    provider = console_of(request).provider
    if provider is None:
        raise Refused(HTTPStatus.NOT_FOUND, "no OpenID provider is set: GAUGEPOST_CONSOLE_OIDC_ISSUER")
    return provider


def _cookie(*, secure: bool) -> str:
    return f"__Host-{_COOKIE}" if secure else _COOKIE


def _attempt(text: str) -> Attempt | None:
    """Return the attempt in a cookie; None for what `start` does not write."""
    with suppress(ValueError, TypeError, RecursionError):
        attempt = Attempt(*map(str, json.loads(bytes.fromhex(text))))
        return attempt if all(part.isascii() for part in attempt) else None
    return None


def _failed(error: ProviderFailed) -> Refused:
    log.warning("OpenID sign-in failed", error=str(error))
    if isinstance(error, ProviderAway):
        return Refused(HTTPStatus.SERVICE_UNAVAILABLE, _AWAY, headers={"Retry-After": "30"})
    return Refused(HTTPStatus.BAD_GATEWAY, _FAILED)
