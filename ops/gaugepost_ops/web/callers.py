"""Who calls: the keys of all regions, read from Redis twice a second, and the rights of one request.

Each region's Redis decides alone about the keys of that region. A key that was read more than a second ago counts no
more: so a revoked key ends within a second, and a region whose Redis is away answers 503.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING

from gaugepost.errors import StoreFull, StoreUnreachable
from gaugepost.ledger.api_keys import KEY_PREFIX, ApiKey, Scope, digest_of
from gaugepost.ledger.audit import Via
from gaugepost_ops.web.key_reading import RegionKeys
from gaugepost_ops.web.problems import Refused, too_soon

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gaugepost.regions import Region
    from gaugepost_ops.web.store import Store

VALID_FOR_S = 0.9
_NEW_MS = 5_000
_LONGEST_SECRET = 200
_MOST_RECENT = 1_000

_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="gaugepost"'}
_SCHEME = "bearer "


@dataclass(frozen=True, slots=True)
class Caller:
    """The holder of a key: its rights in each region whose Redis was asked within the last second."""

    name: str
    grants: Mapping[Region, ApiKey] = field(repr=False)
    away: tuple[Region, ...] = ()
    """Regions of the key whose Redis cannot be reached."""
    reading: int = -1
    """How many times keys had been read when these rights were found."""
    until: float = 0.0
    """When these rights count no more, monotonic seconds."""

    @property
    def regions(self) -> tuple[Region, ...]:
        """The regions of the key."""
        return tuple(self.grants)

    @property
    def via(self) -> Via:
        """The way of the request, in the audit trail."""
        return Via.API

    def source_in(self, region: Region) -> str | None:
        """Return the source of all jobs of the key. Raises Refused."""
        return self.key_for(region).source

    def key_for(self, region: Region) -> ApiKey:
        """Return the key as it is valid in a region. Raises Refused."""
        if region in self.grants:
            return self.grants[region]
        if region in self.away:
            raise StoreUnreachable(f"{region}: Redis cannot be reached")
        where = ", ".join(self.grants)
        raise Refused(HTTPStatus.FORBIDDEN, f"region: this key is for {where}, not for {region}")

    def regions_of(self, region: Region | None) -> tuple[Region, ...]:
        """Return this region, or all regions of the key. Raises Refused."""
        if region is None:
            return self.regions
        self.key_for(region)
        return (region,)

    def unasked_of(self, region: Region | None) -> tuple[Region, ...]:
        """Return the regions that `regions_of` leaves out, because they are away."""
        return self.away if region is None else ()

    def require(self, scope: Scope) -> None:
        """Raise Refused if the key lacks a scope."""
        has = next(iter(self.grants.values())).scopes
        if scope not in has:
            raise Refused(HTTPStatus.FORBIDDEN, f"this key lacks the scope {scope}: it has {', '.join(has) or 'none'}")


_NOT_READ: tuple[None, float] = (None, 0.0)


class Callers:
    """The keys of all regions."""

    def __init__(self, store: Store) -> None:
        self._store = store
        regions = store.settings.regions
        self._regions = {region: RegionKeys(store, region, self._note_reading) for region in regions}
        self._recent: dict[str, tuple[Caller | None, float]] = {}
        """Header → its caller, and until when its keys count. To find one takes as long as to check a job."""
        self._readings = 0

    async def keep_reading(self) -> None:
        """Read the keys again and again, until this task is cancelled. A region that is away delays no other."""
        await asyncio.gather(*(of.keep_reading() for of in self._regions.values()))

    def unreachable(self) -> tuple[Region, ...]:
        """Return the regions whose Redis did not answer when it was asked for keys last, at most two seconds ago."""
        return tuple(region for region, of in self._regions.items() if of.is_unreachable)

    def _note_reading(self) -> None:
        self._readings += 1
        self._recent.clear()

    async def identify(self, authorization: str | None) -> Caller:
        """Return who sends this header. Raises Refused: 401 for no or a wrong key, 429 over the rate of a key."""
        if authorization is None or not authorization.lower().startswith(_SCHEME):
            raise _unknown("send the header `Authorization: Bearer gp_…` with a key of `gaugepost keys create`")
        caller, until = self._recent.get(authorization, _NOT_READ)
        if caller is None or until < time.monotonic():
            caller = await self._known(authorization)
        await self._count(caller)
        return caller

    def recent(self, authorization: bytes, scope: Scope) -> Caller | None:
        """Return who sends this header, if it came within the last second, and its key has the scope and no rate."""
        caller, until = self._recent.get(authorization.decode("latin-1"), _NOT_READ)
        if caller is None or until < time.monotonic():
            return None
        key = next(iter(caller.grants.values()))
        return caller if key.rate is None and scope in key.scopes else None

    async def holder(self, digest: str) -> Caller:
        """Return the holder of the key with this digest, and count a request. Raises Refused, as `identify` does."""
        caller = await self._looked_up(digest)
        self._note_use(caller, time.monotonic())
        await self._count(caller)
        return caller

    async def _known(self, authorization: str) -> Caller:
        """Return who sends this header; `identify` remembers it until the keys are read again."""
        digest = digest_of_key(authorization[len(_SCHEME) :].strip())
        caller = await self._looked_up(digest)
        self._note_use(caller, time.monotonic())
        if len(self._recent) < _MOST_RECENT:
            self._recent[authorization] = caller, caller.until
        return caller

    async def again(self, caller: Caller) -> Caller:
        """Return the caller of a long request with the rights that its key has now. It counts no request.

        Raises Refused (401) if the key has expired or was revoked meanwhile.
        """
        if caller.reading == self._readings and time.monotonic() < caller.until:
            return caller
        return await self._resolved(next(iter(caller.grants.values())).digest)

    async def _looked_up(self, digest: str) -> Caller:
        """Return the holder of a key, which may be newer than the last reading of the keys. Raises Refused."""
        asked_at = time.monotonic()
        try:
            caller = await self._resolved(digest)
        except Refused:
            if not digest:
                raise
        else:
            if not _is_new(caller):
                return caller
        await asyncio.gather(*(of.read_after(asked_at) for of in self._regions.values()))
        return await self._resolved(digest)

    async def _resolved(self, digest: str) -> Caller:
        stale = await self._refreshed(time.monotonic())
        grants = {region: of.keys[digest] for region, of in self._regions.items() if digest in of.keys}
        grants = {region: key for region, key in grants.items() if region not in stale}
        if not grants:
            if stale and digest:
                raise StoreUnreachable(f"the keys of {', '.join(stale)} cannot be read: Redis cannot be reached")
            raise _unknown("this key is not known: it is wrong, it has expired, or it was revoked")
        key = next(iter(grants.values()))
        until = min(self._regions[region].read_at for region in grants) + VALID_FOR_S
        away = tuple(region for region in stale if region in key.regions)
        return Caller(key.name, grants, away, self._readings, until)

    async def _refreshed(self, now: float) -> list[Region]:
        """Read the keys that are too old. Return the regions whose keys could not be read.

        It does not wait for a region that is away: `keep_reading` tries that one again.
        """
        oldest = now - VALID_FOR_S
        old = [region for region, of in self._regions.items() if of.read_at < oldest]
        if not old:
            return old
        await asyncio.gather(*(self._regions[region].read() for region in old if not self._regions[region].is_away))
        return [region for region in old if self._regions[region].read_at < oldest]

    def _note_use(self, caller: Caller, now: float) -> None:
        for region in caller.grants:
            self._regions[region].note_use(caller.name, now)

    async def _count(self, caller: Caller) -> None:
        """Count a request of a key with a rate, in the first of its regions. Raises Refused over the rate.

        A Redis that accepts no writes counts nothing, so that such a key can still read.
        """
        region, key = next(iter(caller.grants.items()))
        if key.rate is None:
            return
        with suppress(StoreFull):
            if wait := await self._store.run(region, self._store.api_keys[region].count(key, key.rate)):
                raise too_soon(wait)


def _is_new(caller: Caller) -> bool:
    """Return whether a key is a few seconds old, and not found in all its regions: these are written in turn."""
    key = next(iter(caller.grants.values()))
    lacks = len(caller.grants) + len(caller.away) < len(key.regions)
    return lacks and abs(time.time() * 1_000 - key.created) < _NEW_MS


def digest_of_key(secret: str) -> str:
    """Return the hash of a key; "" for a text that can be no key."""
    return digest_of(secret) if secret.startswith(KEY_PREFIX) and len(secret) <= _LONGEST_SECRET else ""


def _unknown(detail: str) -> Refused:
    return Refused(HTTPStatus.UNAUTHORIZED, detail, headers=_CHALLENGE)
