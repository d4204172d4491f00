"""Sessions of the console: a random id in a cookie, its hash in the Redis of one region.

The id begins with the region. If the Redis of that region is away, people sign in again, and get a session in another
one. A session that was read is believed for a second, so one that was ended is refused within a second. The sessions of
all open pages are read together, because each page asks every 2 s. A session ends when a person has not used it for
long. What an open page asks by itself is no use.
"""

from __future__ import annotations

import ipaddress
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from gaugepost.errors import StoreUnreachable
from gaugepost.keys import Keys
from gaugepost.ledger.users import LIFE_MS, Role, Session, UserCalls
from gaugepost.regions import Region

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from gaugepost_ops.web.store import Store

COOKIE = "gaugepost"
BELIEVED_S = 0.9
_MOST_BELIEVED = 1_000
_OPEN_S = 3.0
"""A session that was asked for so lately may have an open page."""
_MOST_AT_ONCE = 200
_VISITOR = "gaugepost.visitor"


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks for a page. `session`: the id of the session."""

    name: str
    role: Role
    session: str

    def may(self, role: Role) -> bool:
        """Return whether this person may do what a role may."""
        return self.role.may(role)


class _Believed(NamedTuple):
    """A session that was read. Times are monotonic, `asked`: when its page asked last. `was_use`: it was extended.

    `read`: when its reading began. Redis may answer later, and the session may have ended since.
    """

    visitor: Visitor
    read: float
    asked: float
    was_use: bool

    @property
    def is_fresh(self) -> bool:
        """Whether the session is believed without a new reading."""
        return time.monotonic() - self.read <= BELIEVED_S


class Sessions:
    """The sessions that this process has seen, and the calls for them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        settings = store.settings
        self.calls = {region: UserCalls(Keys(region, settings.namespace)) for region in settings.regions}
        self._url = urlsplit(settings.console_url or "")
        self._believed: dict[str, _Believed] = {}
        self._in_reading: set[str] = set()

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
        region = self._region_of(session)
        if region is None:
            return None
        is_use, known, now = _is_use(request), self._believed.get(session), time.monotonic()
        if known is not None and known.is_fresh and known.was_use >= is_use:
            self._believed[session] = known._replace(asked=now)
            return known.visitor
        others = {} if is_use or known is None else self._of_open_pages(region, session)
        first, *rest = await self._read_with(others, region, session, is_use=is_use)
        for (one, before), found in zip(others.items(), rest, strict=True):
            if self._believed.get(one) is before:  # it was not ended, nor read, meanwhile
                self._believe(one, _visitor(found, one), now, asked=before.asked, was_use=False)
        visitor = _visitor(first, session)
        self._believe(session, visitor, now, asked=now, was_use=is_use)
        return visitor

    def _of_open_pages(self, region: Region, session: str) -> dict[str, _Believed]:
        """Return what else must be read: other sessions of a region that may have an open page, and are not fresh."""
        since, but = time.monotonic() - _OPEN_S, {session, *self._in_reading}
        lapsed = {one: of for one, of in self._believed.items() if of.asked >= since and not of.is_fresh}
        found = ((one, of) for one, of in lapsed.items() if one not in but and self._region_of(one) == region)
        return dict(islice(found, _MOST_AT_ONCE))

    async def _read_with(
        self, others: Iterable[str], region: Region, session: str, *, is_use: bool
    ) -> list[Session | None]:
        """Read a session, and others by the same call. If one of these cannot be read, only its own page fails."""
        together = [session, *others]
        self._in_reading.update(together)
        try:
            return await self._read(region, together, is_use=is_use)
        except StoreUnreachable:
            raise
        except Exception:
            if len(together) == 1:
                raise
            return [*await self._read(region, [session], is_use=is_use), *(None for _ in others)]
        finally:
            self._in_reading.difference_update(together)

    async def _read(self, region: Region, sessions: Sequence[str], *, is_use: bool) -> list[Session | None]:
        try:
            return await self._store.run(region, self.calls[region].sessions(sessions, is_use=is_use))
        except StoreUnreachable:
            others = " or ".join(one for one in self.calls if one is not region)
            to_do = f"Sign in again, and a session is kept in {others}" if others else "Try again later"
            text = f"your session is kept in {region}, whose Redis cannot be reached. {to_do}"
            raise StoreUnreachable(text) from None

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
            return _visitor(found, session)

        region = self._region_of(link)
        if link and region is None:
            return None
        return await self.first_reached(start) if region is None else await start(region)

    async def user_of_link(self, link: str) -> str:
        """Return the user whom a one-time link signs in; "" if it is not valid. Raises StoreUnreachable."""
        region = self._region_of(link)
        return "" if region is None else await self._store.run(region, self.calls[region].user_of_link(link))

    async def replace(self, request: Request, response: Response, visitor: Visitor) -> None:
        """Give the browser a new session, and end the one that it had."""
        with suppress(StoreUnreachable):
            if (before := await self.find(request)) is not None:
                await self.end(before)
        self._set_cookie(request, response, visitor)

    def regions_from(self, visitor: Visitor) -> list[Region]:
        """Return all regions, first that of the session: its Redis has just answered."""
        return sorted(self.calls, key=lambda region: region != self._region_of(visitor.session))

    async def end(self, visitor: Visitor) -> None:
        """End a session. Raises StoreUnreachable."""
        self._believed.pop(visitor.session, None)
        region = self._region_of(visitor.session)
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
        for session in [one for one, known in self._believed.items() if known.visitor.name == visitor.name]:
            del self._believed[session]
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

    def _region_of(self, text: str) -> Region | None:
        name, _, secret = text.partition(".")
        return next((region for region in self.calls if region == name and secret), None)

    def _believe(self, session: str, visitor: Visitor | None, read: float, *, asked: float, was_use: bool) -> None:
        if visitor is None:
            self._believed.pop(session, None)
            return
        if session not in self._believed and len(self._believed) >= _MOST_BELIEVED:
            self._believed.clear()
        self._believed[session] = _Believed(visitor, read, asked, was_use)


def visitor_of(request: Request) -> Visitor:
    """Return the signed-in person of a request for a page that needs a role."""
    visitor: Visitor = request.scope[_VISITOR]
    return visitor


def set_visitor(request: Request, visitor: Visitor) -> None:
    """Note who asks."""
    request.scope[_VISITOR] = visitor


def _visitor(found: Session | None, session: str) -> Visitor | None:
    return None if found is None else Visitor(found.name, found.role, session)


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
