"""Record denied changes in the audit trail: a key without the scope or the region tried to change something.

A key can be denied any number of times, so each kind of change is recorded once a minute for a key. The console records
by the same calls.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog

from gaugepost.ledger.audit import AuditEntry, Outcome, Via

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gaugepost.regions import Region
    from gaugepost_ops.web.store import Store

log = structlog.get_logger("gaugepost.gateway")

AGAIN_S = 60.0
MOST_NOTED = 1_000
_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_ACTIONS = {
    "POST /v1/jobs": "enqueue",
    "POST /v1/files": "upload",
    "POST /v1/files/{set_id}/undo": "uploads undo",
    "POST /v1/holds": "hold",
    "DELETE /v1/holds/{hold_id:path}": "resume",
    "POST /v1/operations": "operations start",
    "POST /v1/operations/{operation_id}/pause": "operations pause",
    "POST /v1/operations/{operation_id}/resume": "operations resume",
    "POST /v1/operations/{operation_id}/abort": "operations abort",
    "POST /v1/webhooks": "webhooks add",
    "DELETE /v1/webhooks/{webhook_id}": "webhooks remove",
}


class Denials:
    """The denied changes of one process. Only the event loop's thread may use it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._noted: dict[tuple[Via, str, str], float] = {}
        """Actor and action → until when no other entry of them is written."""
        self._full_until = 0.0
        """Until when no log line says that too many are noted."""
        self._writing: set[asyncio.Task[None]] = set()

    def note(self, name: str, region: Region, method: str, route: str) -> None:
        """Record that a key was denied a call, unless it only reads."""
        if method not in _READS:
            action = action_of(method, route)
            entry = AuditEntry(name, action, str(region), via=Via.API, outcome=Outcome.DENIED, error="Refused")
            self.note_entry([region], entry)

    def note_entry(self, regions: Sequence[Region], entry: AuditEntry, *, again_s: float = AGAIN_S) -> None:
        """Write an entry, unless one of this actor and action was written in the last `again_s` seconds."""
        now, what = time.monotonic(), (entry.via, entry.actor, entry.action)
        if len(self._noted) >= MOST_NOTED:
            self._noted = {one: until for one, until in self._noted.items() if until > now}
        if self._noted.get(what, now) > now:
            return
        if len(self._noted) >= MOST_NOTED:
            self._log_full(now)
            return
        self._noted[what] = now + again_s
        self.write(regions, entry)

    def _log_full(self, now: float) -> None:
        if self._full_until <= now:
            self._full_until = now + AGAIN_S
            log.warning("denied changes are not recorded", error=f"{MOST_NOTED} actors and actions in a short time")

    def write(self, regions: Sequence[Region], entry: AuditEntry) -> None:
        """Write an entry in the background, in the first region whose Redis accepts it."""
        task = asyncio.get_running_loop().create_task(self._write(regions, entry))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _write(self, regions: Sequence[Region], entry: AuditEntry) -> None:
        failure = ""
        for region in regions:
            try:
                await asyncio.to_thread(self._write_to, region, entry)
            except Exception as error:  # noqa: BLE001 - another region may accept it
                failure = type(error).__name__
            else:
                return
        log.warning("not recorded", actor=entry.actor, action=entry.action, error=failure)

    def _write_to(self, region: Region, entry: AuditEntry) -> None:
        self._store.blocking.ledger(region).audit.write(entry)

    async def end(self) -> None:
        """Wait for the entries that are being written."""
        await asyncio.gather(*self._writing)


def action_of(method: str, route: str) -> str:
    """Return the name of a call in the trail: that of the command, if one does the same."""
    last = route.rpartition("/")[2]
    return _ACTIONS.get(f"{method} {route}") or (last if "/{" in route and "{" not in last else f"{method} {route}")
