"""Check which jobs the ledger names before and after a job in its lane."""

from __future__ import annotations

from datetime import UTC, datetime

from support.factories import case, record, upload
from support.ledger_harness import HOUR_MS, NOON, Bench


def test_job_of_a_case_has_its_neighbours_in_order(bench: Bench) -> None:
    ids = bench.put(*(case() for _ in range(9)), case(number=2))
    assert bench.ledger.neighbours(ids[4]) == (ids[1:4], ids[5:8])
    assert bench.ledger.neighbours(ids[0]) == ([], ids[1:4])
    assert bench.ledger.neighbours(ids[8]) == (ids[5:8], [])
    assert bench.ledger.neighbours(ids[9]) == ([], [])


def test_scheduled_change_keeps_its_neighbours_after_its_release(bench: Bench) -> None:
    due = datetime.fromtimestamp((NOON + HOUR_MS) / 1000, UTC)
    first, scheduled, last = bench.put(case(), case(deliver_at=due), case())
    assert bench.ledger.neighbours(scheduled) == ([first], [last])
    bench.tick(2 * HOUR_MS)
    assert bench.ledger.neighbours(scheduled) == ([first], [last])


def test_waiting_files_have_neighbours(bench: Bench) -> None:
    files = bench.put(upload(), upload(), upload())
    assert bench.ledger.neighbours(files[1]) == ([files[0]], [files[2]])


def test_jobs_without_a_lane_have_no_neighbours(bench: Bench) -> None:
    one, _ = bench.put(record(), record())
    assert bench.ledger.neighbours(one) == ([], [])
    assert bench.ledger.neighbours("0" * 32) == ([], [])
