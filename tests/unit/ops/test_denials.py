"""Denied changes in the audit trail: each kind of change once for an actor, and at most so many."""

from __future__ import annotations

import asyncio

from structlog.testing import capture_logs

from gaugepost import Region, Settings
from gaugepost.ledger.audit import AuditEntry, Outcome
from gaugepost_ops.web.denials import MOST_NOTED, Denials
from gaugepost_ops.web.store import Store


def test_what_is_not_recorded_is_logged_once(redis_url: str) -> None:
    async def scenario() -> int:
        store = Store(Settings.given(redis_url=redis_url))
        denials = Denials(store)
        for number in range(MOST_NOTED + 100):
            entry = AuditEntry(f"key-{number}", "hold", outcome=Outcome.DENIED)
            denials.note_entry([Region.EU], entry)
        await denials.end()
        written = len(store.blocking.ledger(Region.EU).audit.read(limit=2 * MOST_NOTED))
        await store.close()
        return written

    with capture_logs() as logs:
        assert asyncio.run(scenario()) == MOST_NOTED
    assert [one["event"] for one in logs] == ["denied changes are not recorded"]
