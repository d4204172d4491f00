"""`/sign-in`, `/sign-out` and `/account`: passwords, one-time links, and the end of sessions."""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.responses import Response

from gaugepost.errors import StoreUnreachable
from gaugepost.ledger.users import NAME, Role
from gaugepost_ops.passwords import LONGEST, is_password
from gaugepost_ops.web.console.inputs import field, form_of, local_path, see_other
from gaugepost_ops.web.console.rendering import bare_page, page
from gaugepost_ops.web.console.routes import Console, console_of
from gaugepost_ops.web.console.sessions import Visitor, visitor_of
from gaugepost_ops.web.problems import Refused

if TYPE_CHECKING:
    from starlette.requests import Request

    from gaugepost.ledger.users import User
    from gaugepost.regions import Region

_MOST_CHECKS = asyncio.Semaphore(2)
"""Passwords that are checked at once: each takes 64 MB for a moment, and a core."""
_WRONG = "This name and this password do not belong together. `gaugepost users list` shows the names."
_USED = "This link was used before, or its time is over. `gaugepost users link NAME` makes a new one."


def add_routes(console: Console) -> None:
    """Add the routes of this module."""
    console.get("/sign-in", show, role=None)
    console.post("/sign-in", sign_in, role=None, action="sign in")
    console.get("/account", account, role=Role.VIEWER)
    console.post("/sign-out", sign_out, role=Role.VIEWER, action="sign out")
    console.post("/sign-out-everywhere", sign_out_everywhere, role=Role.VIEWER, action="sign out")


async def show(request: Request) -> Response:
    """Show the form, or the button of a one-time link. Only the button uses the link up: previews of it do not."""
    has_provider = console_of(request).gateway.settings.console_oidc_issuer is not None
    return _form(request.query_params.get("next"), link=request.query_params.get("link", ""), has_provider=has_provider)


def _form(
    wanted: str | None,
    *,
    link: str = "",
    name: str = "",
    error: str = "",
    has_provider: bool = False,
    status: HTTPStatus = HTTPStatus.OK,
    headers: dict[str, str] | None = None,
) -> Response:
    values = {"next": local_path(wanted), "link": link, "name": name, "error": error, "has_provider": has_provider}
    return bare_page("sign_in.html", status=status, headers=headers, **values)


async def sign_in(request: Request) -> Response:
    """Check a password or a link, and start a session with a new id."""
    form = await form_of(request)
    link, wanted = field(form, "link"), field(form, "next")
    sessions = console_of(request).sessions
    if link:
        visitor = await sessions.start(link=link)
        if visitor is None:
            return _form(wanted, error=_USED, status=HTTPStatus.FORBIDDEN)
    else:
        name = field(form, "name").strip()
        visitor = await _by_password(request, name, field(form, "password"))
        if visitor is None:
            return _form(wanted, name=name[:64], error=_WRONG, status=HTTPStatus.FORBIDDEN)
    with suppress(StoreUnreachable):
        if (before := await sessions.find(request)) is not None:
            await sessions.end(before)
    response = see_other(local_path(wanted))
    sessions.set_cookie(request, response, visitor)
    return response


async def _by_password(request: Request, name: str, password: str) -> Visitor | None:
    """Return the session of a user whose password is right, else None. Raises Refused (429) after many failures."""
    console = console_of(request)
    address = request.client.host if request.client else ""

    async def check(region: Region) -> Visitor | None:
        store, calls = console.gateway.store, console.sessions.calls[region]
        if wait := await store.run(region, calls.try_sign_in(name[:64], address)):
            raise _too_often(wait)
        users = await store.run(region, calls.read()) if NAME.fullmatch(name) else ()
        user = next((one for one in users if one.name == name), None)
        if not await _is_right(user, password):
            return None
        await store.run(region, calls.sign_in_worked(name, address))
        return await console.sessions.start(name)

    return await console.sessions.first_reached(check)


def _too_often(wait_ms: int) -> Refused:
    seconds = max(1, math.ceil(wait_ms / 1000))
    text = (
        f"too many failed attempts: try again in {seconds} s. `gaugepost users link NAME` signs in without a password"
    )
    return Refused(HTTPStatus.TOO_MANY_REQUESTS, text, headers={"Retry-After": str(seconds)})


async def _is_right(user: User | None, password: str) -> bool:
    """Return whether a password is right. An unknown name takes as long as a known one."""
    async with _MOST_CHECKS:
        return await asyncio.to_thread(is_password, None if user is None else user.password, password[:LONGEST])


async def account(request: Request) -> Response:
    """Show who is signed in, and how to end sessions."""
    return page(request, "account.html")


async def sign_out(request: Request) -> Response:
    """End this session."""
    sessions = console_of(request).sessions
    await sessions.end(visitor_of(request))
    return _signed_out(request)


async def sign_out_everywhere(request: Request) -> Response:
    """End all sessions of the person."""
    away = await console_of(request).sessions.end_all(visitor_of(request))
    if away:
        raise StoreUnreachable(f"{', '.join(away)}: Redis cannot be reached, so sessions there go on: try again later")
    return _signed_out(request)


def _signed_out(request: Request) -> Response:
    response = see_other("/sign-in")
    console_of(request).sessions.drop_cookie(request, response)
    return response
