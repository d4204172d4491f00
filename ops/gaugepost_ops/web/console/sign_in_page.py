"""`/sign-in`, `/sign-out` and `/account`: passwords, one-time links, and the end of sessions."""

from __future__ import annotations

import asyncio
import math
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.responses import Response

from gaugepost.errors import StoreUnreachable
from gaugepost.ledger.users import NAME, STRANGER, Role
from gaugepost_ops.passwords import LONGEST, is_password
from gaugepost_ops.web.console.inputs import field, form_of, local_path, see_other
from gaugepost_ops.web.console.recording import note_failure, note_sign_in, note_sign_out
from gaugepost_ops.web.console.rendering import bare_page, page
from gaugepost_ops.web.console.routes import Console, console_of
from gaugepost_ops.web.console.session_reads import Visitor
from gaugepost_ops.web.console.sessions import visitor_of
from gaugepost_ops.web.problems import Refused

if TYPE_CHECKING:
    from starlette.requests import Request

    from gaugepost.ledger.users import User
    from gaugepost.regions import Region

_MOST_CHECKS = asyncio.Semaphore(2)
"""Passwords that are checked at once: each takes 64 MB for a moment, and a core."""
_WRONG = "This name and this password do not belong together. `gaugepost users list` shows the names."
_USED = (
    "This link is not valid: it was used before, its time is over, or the sessions of its user were ended. "
    "`gaugepost users link NAME` makes a new one."
)


def add_routes(console: Console) -> None:
    """Add the routes of this module."""
    console.get("/sign-in", show, role=None)
    console.post("/sign-in", sign_in, role=None, action="sign in")
    console.get("/account", account, role=Role.VIEWER)
    console.post("/sign-out", sign_out, role=Role.VIEWER, action="sign out")
    console.post("/sign-out-everywhere", sign_out_everywhere, role=Role.VIEWER, action="sign out")


async def show(request: Request) -> Response:
    """Show the form, or the button of a one-time link. Only the button uses the link up: previews of it do not."""
    wanted, link = request.query_params.get("next"), request.query_params.get("link", "")
    user = await console_of(request).sessions.user_of_link(link) if link else ""
    if link and not user:
        return _form(request, wanted, error=_USED, status=HTTPStatus.FORBIDDEN)
    return _form(request, wanted, link=link, name=user)


def _form(
    request: Request,
    wanted: str | None,
    *,
    link: str = "",
    name: str = "",
    error: str = "",
    status: HTTPStatus = HTTPStatus.OK,
) -> Response:
    """Return the form. `name`: what a person typed, or the user whom the link signs in."""
    has_provider = console_of(request).provider is not None
    return bare_page(
        "sign_in.html", status=status, next=local_path(wanted), link=link, name=name, error=error,
        has_provider=has_provider,
    )  # fmt: skip


async def sign_in(request: Request) -> Response:
    """Check a password or a link, and start a session with a new id."""
    form = await form_of(request)
    link, wanted = field(form, "link"), field(form, "next")
    console = console_of(request)
    if link:
        visitor = await console.sessions.start(link=link)
        if visitor is None:
            note_failure(console, STRANGER, "link")
            return _form(request, wanted, error=_USED, status=HTTPStatus.FORBIDDEN)
    else:
        name = field(form, "name").strip()
        visitor = await _by_password(request, name, field(form, "password"))
        if visitor is None:
            return _form(request, wanted, name=name[:64], error=_WRONG, status=HTTPStatus.FORBIDDEN)
    note_sign_in(console, visitor, "link" if link else "password")
    response = see_other(local_path(wanted))
    await console.sessions.replace(request, response, visitor)
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
        if not await _is_right(user, password) or user is None:
            note_failure(console, STRANGER if user is None else name, "password")
            return None
        await store.run(region, calls.sign_in_worked(name, address))
        return await console.sessions.start(name, password=user.password)

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
    console, visitor = console_of(request), visitor_of(request)
    await console.sessions.end(visitor)
    note_sign_out(console, visitor, "this session")
    return _signed_out(request)


async def sign_out_everywhere(request: Request) -> Response:
    """End all sessions of the person."""
    console, visitor = console_of(request), visitor_of(request)
    away = await console.sessions.end_all(visitor)
    note_sign_out(console, visitor, "all sessions")
    if away:
        raise StoreUnreachable(f"{', '.join(away)}: Redis cannot be reached, so sessions there go on: try again later")
    return _signed_out(request)


def _signed_out(request: Request) -> Response:
    response = see_other("/sign-in")
    console_of(request).sessions.drop_cookie(request, response)
    return response
