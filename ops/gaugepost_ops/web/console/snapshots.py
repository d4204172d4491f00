"""Snapshots of the regions: each is read at most once a second in a process, however many consoles are open."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

import structlog

from gaugepost.errors import StoreUnreachable
from gaugepost.jobs import File
from gaugepost.ledger.explanations import is_of_proxy
from gaugepost.ledger.wait_reasons import scopes_of_kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gaugepost.ledger import Hold, RegionHistory
    from gaugepost.regions import Region
    from gaugepost_ops.web.store import Store

log = structlog.get_logger("gaugepost.console")

FRESH_S = 1.0
OLD_MS = 3_000
"""A page says that older facts are old."""
_PATIENCE_S = 0.3
"""A page waits so long for a region whose last snapshot it has; so a region that hangs delays no page."""
UNREACHABLE = "Redis cannot be reached"
_NOT_READ = "The console cannot read this region: the log of the gateway has the reason"
_LEFT_OUT = ("oldest_age", "oldest_queued_s", "beat_age_s", "holds", "holds_by_scope")
"""Facts that only grow older, and the holds, which a snapshot has too."""


@dataclass(frozen=True)
class Snapshot:
    """A region at one moment. `summary`: as `status --json`; None if it could not be read. Times are Unix ms."""

    region: Region
    at: int
    summary: Mapping[str, Any] | None
    holds: Mapping[str, Hold] = field(default_factory=dict)
    oldest_since: int | None = None
    """When the oldest queued job was enqueued."""
    beat_at: int | None = None
    """When beat ticked last."""
    history: RegionHistory | None = None
    trouble: str = ""
    """Why it could not be read."""
    held: str = ""
    """A text that changes when the holds do."""

    @property
    def is_old(self) -> bool:
        """Whether the region did not answer for some seconds."""
        return time.time() * 1000 - self.at > OLD_MS

    @property
    def uploads_wait_for(self) -> str:
        """Why no upload starts, whatever its slot: a hold, or no worker; empty without a reason."""
        if self.holds.keys() & set(scopes_of_kind(File)):
            return "held"
        return "" if (self.summary or {}).get("workers") else "no worker"

    @property
    def proxy_fails(self) -> bool:
        """Whether a hold is open because the egress proxy fails. Only workers know whether there is a proxy."""
        return any(map(is_of_proxy, self.holds.values()))

    @property
    def next_slot(self) -> int | None:
        """When the next upload can start, Unix ms; None: now. Then the summary has the time at which it was read."""
        text = (self.summary or {}).get("next_slot")
        at = text and int(datetime.fromisoformat(text).timestamp() * 1000)
        return at if at and at > self.at else None

    @cached_property
    def version(self) -> str:
        """A text that changes when the region does. Ages that only grow do not count, but moments do."""
        facts = {name: value for name, value in (self.summary or {}).items() if name not in _LEFT_OUT}
        if self.next_slot is None:
            facts.pop("next_slot", None)
        beat = None if self.beat_at is None else self.beat_at // 10_000
        recorded = [one.at for one in self.history.minutes[-1:]] if self.history else None
        oldest = (self.oldest_since or 0) // 1000
        text = json.dumps([facts, self.held, self.trouble, beat, oldest, recorded], default=str)
        return _digest(text)


@dataclass(slots=True)
class _OfRegion:
    """The last snapshot of a region, and the task that reads the next. `read_at`: monotonic seconds."""

    snapshot: Snapshot | None = None
    read_at: float = float("-inf")
    reading: asyncio.Task[None] | None = None


class Snapshots:
    """The snapshots of all regions."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._regions = {region: _OfRegion() for region in store.settings.regions}

    async def read(self, only: Region | None = None) -> list[Snapshot]:
        """Return the snapshots of all regions, or of one, at most a second old where Redis answers."""
        wanted = {region: of for region, of in self._regions.items() if only in {None, region}}
        waits = [task for region, of in wanted.items() if (task := self._refresh(region, of)) is not None]
        if waits:
            is_first = any(of.snapshot is None for of in wanted.values())
            await asyncio.wait(waits, timeout=None if is_first else _PATIENCE_S)
        return [of.snapshot for of in wanted.values() if of.snapshot is not None]

    async def holds(self, only: Region | None = None) -> dict[str, Mapping[str, Hold]]:
        """Return the holds of each region, or of one, by their scope; as old as `read` says."""
        return {str(one.region): one.holds for one in await self.read(only)}

    def _refresh(self, region: Region, of: _OfRegion) -> asyncio.Task[None] | None:
        """Return the task that reads a region; None if its snapshot is fresh."""
        if of.reading is not None and not of.reading.done():
            return of.reading
        if time.monotonic() - of.read_at < FRESH_S:
            return None
        of.reading = asyncio.create_task(self._read(region, of))
        return of.reading

    async def _read(self, region: Region, of: _OfRegion) -> None:
        before = "" if of.snapshot is None else of.snapshot.trouble
        try:
            of.snapshot = await asyncio.to_thread(self._look, region, of.snapshot)
        except StoreUnreachable:
            of.snapshot = Snapshot(region, int(time.time() * 1000), None, trouble=UNREACHABLE)
        except Exception as error:  # whatever is in Redis there: the overview must name the region
            of.snapshot = Snapshot(region, int(time.time() * 1000), None, trouble=_NOT_READ)
            if before != _NOT_READ:
                log.exception("region not read", region=str(region), error=type(error).__name__)
        of.read_at = time.monotonic()

    def _look(self, region: Region, before: Snapshot | None) -> Snapshot:
        ledger = self._store.blocking.ledger(region)
        holds = ledger.holds()
        is_same = before is not None and before.summary is not None and before.holds == holds
        summary = ledger.summary({})  # without the explanations of 1,000 holds: the page explains those that it shows
        now = int(time.time() * 1000)
        oldest, beat = summary["oldest_queued_s"], summary["beat_age_s"]
        return Snapshot(
            region,
            now,
            summary,
            holds,
            None if oldest is None else now - int(oldest * 1000),
            None if beat is None else now - int(beat * 1000),
            ledger.history(),
            held=before.held if before is not None and is_same else _digest(repr(holds)),
        )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
