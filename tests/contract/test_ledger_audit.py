"""The audit trail of a region: what is written, what is read, and what is deleted."""

from __future__ import annotations

from dataclasses import replace

import pytest
import redis

from gaugepost import Region, Settings
from gaugepost.errors import LedgerClosed
from gaugepost.ledger import Ledger
from gaugepost.ledger.audit import AuditEntry, Outcome, Via
from gaugepost.ledger.scripts import load_scripts

KEY = "gaugepost:{eu}:audit"
ENTRY = AuditEntry(
    actor="ann@ops1",
    action="replay",
    region="eu",
    target="state=dead verdict=timeout",
    count=12,
    reason="the outage is over",
)
DAY_MS = 86_400_000


@pytest.fixture
def ledger(client: redis.Redis) -> Ledger:
    return Ledger(client, Region.EU, Settings.given(redis_url="redis://127.0.0.1"))


def fill(client: redis.Redis, number: int, *, first_ms: int = 1_000, step_ms: int = 1) -> None:
    """Add entries with times of their own, as other versions or other days would have written them."""
    with client.pipeline(transaction=False) as pipe:
        for n in range(number):
            fields = {"mark": f"m{n}", **replace(ENTRY, count=n).fields()}
            pipe.xadd(KEY, fields, id=f"{first_ms + n * step_ms}-0")
        pipe.execute()


def test_entry_is_read_as_it_was_written(ledger: Ledger) -> None:
    written = ledger.audit.write(ENTRY)
    assert ledger.audit.read() == [replace(ENTRY, id=written)]
    assert ledger.audit.size() == 1


def test_row_has_every_field_of_the_contract(ledger: Ledger) -> None:
    ledger.audit.write(replace(ENTRY, outcome=Outcome.DENIED, error="NotPermitted", via=Via.API))
    row = ledger.audit.read()[0].to_dict()
    assert row.pop("at").endswith("+00:00")
    assert row.pop("id")
    assert row == {
        "actor": "ann@ops1",
        "via": "api",
        "action": "replay",
        "region": "eu",
        "target": "state=dead verdict=timeout",
        "count": 12,
        "reason": "the outage is over",
        "outcome": "denied",
        "error": "NotPermitted",
    }


def test_entry_takes_the_place_of_the_one_that_it_replaces(ledger: Ledger) -> None:
    begun = ledger.audit.write(replace(ENTRY, outcome=Outcome.FAILED, error="unfinished"))
    ended = ledger.audit.write(ENTRY, replaces=begun)
    assert ledger.audit.read() == [replace(ENTRY, id=ended)]


def test_dropped_entry_leaves_none(ledger: Ledger) -> None:
    ledger.audit.drop(ledger.audit.write(ENTRY))
    assert ledger.audit.read() == []
    assert ledger.audit.write(ENTRY)


def test_repeated_call_adds_one_entry(client: redis.Redis, ledger: Ledger) -> None:
    script = client.register_script(load_scripts()["audit"])
    arguments = ["one-mark", "", DAY_MS, *(part for pair in ENTRY.fields().items() for part in pair)]
    answers = {script(keys=["gaugepost:{eu}:"], args=arguments, client=client) for _ in range(3)}
    assert len(answers) == 1
    assert ledger.audit.size() == 1


def test_entries_are_listed_newest_first_in_pages(client: redis.Redis, ledger: Ledger) -> None:
    fill(client, 25)
    pages, before = [], ""
    while page := ledger.audit.read(before=before, limit=10):
        pages.append([entry.count for entry in page])
        before = page[-1].id
    assert pages == [list(range(24, 14, -1)), list(range(14, 4, -1)), list(range(4, -1, -1))]


def test_times_limit_what_is_read(client: redis.Redis, ledger: Ledger) -> None:
    fill(client, 20)
    assert [entry.count for entry in ledger.audit.read(since=1_005, until=1_008)] == [8, 7, 6, 5]
    assert [entry.count for entry in ledger.audit.entries(since=1_005, until=1_008)] == [8, 7, 6, 5]


def test_all_entries_are_yielded_across_pages(client: redis.Redis, ledger: Ledger) -> None:
    fill(client, 2_345)
    assert [entry.count for entry in ledger.audit.entries()] == list(range(2_344, -1, -1))


def test_entries_older_than_the_retention_are_deleted_by_the_next_one(client: redis.Redis, ledger: Ledger) -> None:
    year_ms = 365 * DAY_MS
    now = client.time()[0] * 1000
    fill(client, 1_000, first_ms=now - 2 * year_ms, step_ms=year_ms * 2 // 1_000)
    ledger.audit.write(ENTRY)
    kept = list(ledger.audit.entries())
    old = [entry for entry in kept if entry.at < now - year_ms]
    assert len(old) <= 100
    assert len(kept) - len(old) == pytest.approx(501, abs=2)


def test_texts_are_cut_and_contacts_masked(ledger: Ledger) -> None:
    ledger.audit.write(
        replace(ENTRY, target="x" * 5_000, reason="asked by joe.doe@example.com, +31 20 123 45 67", actor="a" * 999)
    )
    [entry] = ledger.audit.read()
    assert len(entry.target) == 1_000
    assert len(entry.actor) == 200
    assert entry.reason == "asked by […], […]"


def test_id_of_a_job_is_not_taken_for_a_phone_number(ledger: Ledger) -> None:
    job_id = "0012345678901234567890123456789a"
    ledger.audit.write(replace(ENTRY, target=job_id))
    assert ledger.audit.read()[0].target == job_id


def test_entry_of_a_newer_version_is_read(client: redis.Redis, ledger: Ledger) -> None:
    client.xadd(KEY, {"mark": "m", "action": "teleport", "via": "telepathy", "count": "many", "mood": "\x00"})
    [entry] = ledger.audit.read()
    assert (entry.action, entry.via, entry.count, entry.region) == ("teleport", "telepathy", 0, None)


def test_regions_have_trails_of_their_own(client: redis.Redis, ledger: Ledger) -> None:
    ledger.audit.write(ENTRY)
    assert Ledger(client, Region.US, Settings.given(redis_url="redis://127.0.0.1")).audit.read() == []


def test_ledger_that_was_moved_takes_no_entry(client: redis.Redis, ledger: Ledger) -> None:
    client.set("gaugepost:{eu}:schema", "moved 1")
    with pytest.raises(LedgerClosed):
        ledger.audit.write(ENTRY)
