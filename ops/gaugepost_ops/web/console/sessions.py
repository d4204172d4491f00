"""Sessions of the console: a random id in a cookie, its hash in the Redis of one region.

The id begins with the region. If the Redis of that region is away, people sign in again, and get a session in another
one. A session ends when a person has not used it for long. What an open page asks by itself is no use.
"""

from __future__ import annotations

import ipaddress
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gaugepost.errors import StoreUnreachable
from gaugepost.keys import Keys
from gaugepost.ledger.users import LIFE_MS, Role, UserCalls
from gaugepost.regions import Region
from gaugepost_ops.web.console.session_reads import SessionReads, Visitor

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from gaugepost_ops.web.store import Store

COOKIE = "gaugepost"
_VISITOR = "gaugepost.visitor"


class Sessions:
    """The sessions that this process has seen, and the calls for them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        settings = store.settings
        self.calls = {region: UserCalls(Keys(region, settings.namespace)) for region in settings.regions}
        self._url = urlsplit(settings.console_url or "")
        self._reads = SessionReads(store, self.calls)

    def is_secure(self, request: Request) -> bool:
        """Return whether the person's browser came over TLS: to this process, or to the proxy of CONSOLE_URL."""
        by_url = self._url.scheme == "https" and request.headers.get("host") == self._url.netloc
        return request.url.scheme == "https" or by_url

    def is_protected(self, request: Request) -> bool:
        """Return whether a password is safe on its way: the browser came over TLS, or runs on this machine."""
        return self.is_secure(request) or _is_loopback(request.url.hostname or "")

    async def find(self, request: Request) -> Visitor | None:
        """Return the person of the request's session; None without a valid one. Raises StoreUnreachable."""
        session = request.cookies.get(self._cookie(request), "")
        return await self._reads.find(session, is_use=_is_use(request))

    async def start(
        self, name: str = "", *, role: Role | None = None, link: str = "", password: str = ""
    ) -> Visitor | None:
        """Start a session with a new id; see `UserCalls.start`. None if it refuses. Raises StoreUnreachable."""

        async def start(region: Region) -> Visitor | None:
            session = f"{region}.{secrets.token_urlsafe(32)}"
            calls, run = self.calls[region], self._store.run
            if not await run(region, calls.start(session, name, role=role, link=link, password=password)):
                return None
            [found] = await run(region, calls.sessions([session], is_use=True))
            return Visitor.of(found, session)

        region = self._reads.region_of(link)
        if link and region is None:
            return None
        return await self.first_reached(start) if region is None else await start(region)

    async def user_of_link(self, link: str) -> str:
        """Return the user whom a one-time link signs in; "" if it is not valid. Raises StoreUnreachable."""
        region = self._reads.region_of(link)
        return "" if region is None else await self._store.run(region, self.calls[region].user_of_link(link))

    async def replace(self, request: Request, response: Response, visitor: Visitor) -> None:
        """Give the browser a new session, and end the one that it had."""
        with suppress(StoreUnreachable):
            if (before := await self.find(request)) is not None:
                await self.end(before)
        self._set_cookie(request, response, visitor)

    def regions_from(self, visitor: Visitor) -> list[Region]:
        """Return all regions, first that of the session: its Redis has just answered."""
        return sorted(self.calls, key=lambda region: region != self._reads.region_of(visitor.session))

    async def end(self, visitor: Visitor) -> None:
        """End a session. Raises StoreUnreachable."""
        self._reads.forget(visitor.session)
        region = self._reads.region_of(visitor.session)
        if region is not None:
            await self._store.run(region, self.calls[region].end(visitor.session))

    async def end_all(self, visitor: Visitor) -> list[Region]:
        """End all sessions of a person. Return the regions whose Redis is away, where some may go on."""
        away = []
        for region, calls in self.calls.items():
            try:
                await self._store.run(region, calls.sign_out(visitor.name))
            except StoreUnreachable:
                away.append(region)
        self._reads.forget_all(visitor.name)
        return away

    async def first_reached(self, ask: Callable[[Region], Awaitable[Visitor | None]]) -> Visitor | None:
        """Return the answer of the first region whose Redis answers. Raises StoreUnreachable if none does."""
        error = StoreUnreachable("Redis cannot be reached")
        for region in self.calls:
            try:
                return await ask(region)
            except StoreUnreachable as why:
                error = why
        raise error

    def _set_cookie(self, request: Request, response: Response, visitor: Visitor) -> None:
        """Give the browser the session."""
        response.set_cookie(
            self._cookie(request),
            visitor.session,
            max_age=LIFE_MS // 1000,
            path="/",
            secure=self.is_secure(request),
            httponly=True,
            samesite="lax",
        )

    def drop_cookie(self, request: Request, response: Response) -> None:
        """Let the browser forget the session."""
        secure = self.is_secure(request)
        response.delete_cookie(self._cookie(request), path="/", secure=secure, httponly=True, samesite="lax")

    def _cookie(self, request: Request) -> str:
        return f"__Host-{COOKIE}" if self.is_secure(request) else COOKIE


def visitor_of(request: Request) -> Visitor:
    """Return the signed-in person of a request for a page that needs a role."""
    visitor: Visitor = request.scope[_VISITOR]
    return visitor


def set_visitor(request: Request, visitor: Visitor) -> None:
    """Note who asks."""
    request.scope[_VISITOR] = visitor


def _is_use(request: Request) -> bool:
    """Return whether a person asks: by a link, a form or the address bar, and not the open page by itself.

    Browsers say `navigate` then. An older one sends no such header: htmx and a stream of events have their own.
    """
    headers = request.headers
    is_navigation = headers.get("sec-fetch-mode", "navigate") == "navigate"
    return is_navigation and "hx-request" not in headers and "text/event-stream" not in headers.get("accept", "")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
