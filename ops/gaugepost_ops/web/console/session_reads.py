"""Read sessions of the console. One that was read is believed for a second, so one that was ended is refused within it.

Each open page asks every 2 s. So the sessions of all open pages are read by one call.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, Self

from gaugepost.errors import StoreUnreachable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from gaugepost.ledger.users import Role, Session, UserCalls
    from gaugepost.regions import Region
    from gaugepost_ops.web.store import Store

BELIEVED_S = 0.9
_MOST_BELIEVED = 1_000
_OPEN_S = 3.0
"""A session that was asked for so lately may have an open page."""
_MOST_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks for a page. `session`: the id of the session."""

    name: str
    role: Role
    session: str

    def may(self, role: Role) -> bool:
        """Return whether this person may do what a role may."""
        return self.role.may(role)

    @classmethod
    def of(cls, found: Session | None, session: str) -> Self | None:
        """Return whose session was found; None without one."""
        return None if found is None else cls(found.name, found.role, session)


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


class SessionReads:
    """The sessions that this process has read, and those that it reads now."""

    def __init__(self, store: Store, calls: Mapping[Region, UserCalls]) -> None:
        self._store = store
        self._calls = calls
        self._believed: dict[str, _Believed] = {}
        self._in_reading: set[str] = set()

    def region_of(self, text: str) -> Region | None:
        """Return the region that the id of a session or a link begins with."""
        name, _, secret = text.partition(".")
        return next((region for region in self._calls if region == name and secret), None)

    def forget(self, session: str) -> None:
        """Read this session again before it is believed."""
        self._believed.pop(session, None)

    def forget_all(self, name: str) -> None:
        """Do the same with all sessions of a person."""
        for session in [one for one, known in self._believed.items() if known.visitor.name == name]:
            del self._believed[session]

    async def find(self, session: str, *, is_use: bool) -> Visitor | None:
        """Return whose session it is; None if there is none. `is_use`: it is extended. Raises StoreUnreachable."""
        region = self.region_of(session)
        if region is None:
            return None
        known, now = self._believed.get(session), time.monotonic()
        if known is not None and known.is_fresh and known.was_use >= is_use:
            self._believed[session] = known._replace(asked=now)
            return known.visitor
        others = {} if is_use or known is None else self._of_open_pages(region, session)
        first, *rest = await self._read_with(others, region, session, is_use=is_use)
        for (one, before), found in zip(others.items(), rest, strict=True):
            if self._believed.get(one) is before:  # it was not ended, nor read, meanwhile
                self._believe(one, Visitor.of(found, one), now, asked=before.asked, was_use=False)
        visitor = Visitor.of(first, session)
        self._believe(session, visitor, now, asked=now, was_use=is_use)
        return visitor

    def _of_open_pages(self, region: Region, session: str) -> dict[str, _Believed]:
        """Return what else must be read: other sessions of a region that may have an open page, and are not fresh."""
        since, but = time.monotonic() - _OPEN_S, {session, *self._in_reading}
        lapsed = {one: of for one, of in self._believed.items() if of.asked >= since and not of.is_fresh}
        found = ((one, of) for one, of in lapsed.items() if one not in but and self.region_of(one) == region)
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
            return await self._store.run(region, self._calls[region].sessions(sessions, is_use=is_use))
        except StoreUnreachable:
            others = " or ".join(one for one in self._calls if one is not region)
            to_do = f"Sign in again, and a session is kept in {others}" if others else "Try again later"
            text = f"your session is kept in {region}, whose Redis cannot be reached. {to_do}"
            raise StoreUnreachable(text) from None

    def _believe(self, session: str, visitor: Visitor | None, read: float, *, asked: float, was_use: bool) -> None:
        if visitor is None:
            self._believed.pop(session, None)
            return
        if session not in self._believed and len(self._believed) >= _MOST_BELIEVED:
            self._believed.clear()
        self._believed[session] = _Believed(visitor, read, asked, was_use)
