"""Record denied changes in the audit trail: a key without the scope or the region tried to change something.

A key can be denied any number of times, so each kind of change is recorded once a minute for a key.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog

from gaugepost.errors import GaugepostError
from gaugepost.ledger.audit import AuditEntry, Outcome, Via

if TYPE_CHECKING:
    from gaugepost.regions import Region
    from gaugepost_ops.web.store import Store

log = structlog.get_logger("gaugepost.gateway")

AGAIN_S = 60.0
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
        self._noted: dict[tuple[str, str], float] = {}
        self._writing: set[asyncio.Task[None]] = set()

    def note(self, name: str, region: Region, method: str, route: str) -> None:
        """Record that a key was denied a call, unless it only reads."""
        if method not in _READS:
            self.note_action(name, region, action_of(method, route), Via.API)

    def note_action(self, name: str, region: Region, action: str, via: Via) -> None:
        """Record that a key or a person was denied a change."""
        now = time.monotonic()
        if now - self._noted.get((name, action), float("-inf")) < AGAIN_S:
            return
        self._noted[name, action] = now
        entry = AuditEntry(name, action, str(region), via=via, outcome=Outcome.DENIED, error="Refused")
        task = asyncio.get_running_loop().create_task(self._write(region, entry))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _write(self, region: Region, entry: AuditEntry) -> None:
        try:
            await asyncio.to_thread(lambda: self._store.blocking.ledger(region).audit.write(entry))
        except GaugepostError as error:
            log.warning("denial not recorded", key=entry.actor, action=entry.action, error=type(error).__name__)

    async def end(self) -> None:
        """Wait for the entries that are being written."""
        await asyncio.gather(*self._writing)


def action_of(method: str, route: str) -> str:
    """Return the name of a call in the trail: that of the command, if one does the same."""
    last = route.rpartition("/")[2]
    return _ACTIONS.get(f"{method} {route}") or (last if "/{" in route and "{" not in last else f"{method} {route}")
