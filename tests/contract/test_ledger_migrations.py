"""Migrate the ledger of an older version, in steps that may be repeated."""

from __future__ import annotations

import pytest

from gaugepost.errors import LedgerClosed
from support.factories import link, record
from support.ledger_harness import Bench


def as_before(bench: Bench, *, urgent: bool = False) -> None:
    """Move queued jobs from their source's list to the one list of all that 26f2acf had."""
    line, turns = ("urgent", "urgent_turns") if urgent else ("ready", "turns")
    while (source := bench.client.lpop(f"gaugepost:{{eu}}:{turns}")) is not None:
        while job_id := bench.client.lpop(f"gaugepost:{{eu}}:{line}:{source.decode()}"):
            bench.client.rpush(f"gaugepost:{{eu}}:{line}", job_id)


def test_migrated_jobs_are_claimed_in_enqueue_order_with_urgent_ones_first(bench: Bench) -> None:
    plain = bench.put(record(source="a"), record(), record(source="a"))
    urgent = bench.put(link(), link())
    as_before(bench)
    as_before(bench, urgent=True)
    assert bench.claim_ids() == []
    assert bench.ledger.migrate() == 5
    assert bench.claim_ids() == [*urgent, *plain]


def test_job_cancelled_during_the_migration_stays_cancelled(bench: Bench) -> None:
    first, second = bench.put(record(), record())
    as_before(bench)
    bench.ledger.cancel([first])
    assert bench.ledger.migrate() == 2
    assert bench.claim_ids() == [second]


def test_a_job_that_was_moved_can_be_cancelled(bench: Bench) -> None:
    [job_id] = bench.put(record())
    as_before(bench)
    bench.ledger.migrate()
    assert bench.ledger.cancel([job_id]) == [("cancelled", True)]
    assert bench.claim_ids() == []


def test_migration_of_many_jobs_takes_several_steps_and_is_idempotent(bench: Bench) -> None:
    ids = bench.put(*(record() for _ in range(2500)))
    as_before(bench)
    assert bench.ledger.migrate() == 2500
    assert bench.ledger.migrate() == 0
    assert bench.client.zcard("gaugepost:{eu}:again") == len(ids)


def test_migration_rings_the_bell(bench: Bench) -> None:
    bench.put(record())
    as_before(bench)
    bench.client.delete("gaugepost.eu")
    bench.ledger.migrate()
    assert bench.bells() == 1


def test_the_schema_is_put_on_the_ledger_once_and_never_lowered(bench: Bench) -> None:
    assert bench.client.get("gaugepost:{eu}:schema") is None
    bench.ledger.migrate()
    assert bench.client.get("gaugepost:{eu}:schema") == b"1"
    bench.client.set("gaugepost:{eu}:schema", 2)
    with pytest.raises(LedgerClosed):
        bench.ledger.migrate()
    assert bench.client.get("gaugepost:{eu}:schema") == b"2"
    bench.client.delete("gaugepost:{eu}:schema")


def test_every_script_leaves_a_newer_ledger_alone(bench: Bench) -> None:
    bench.put(record())
    bench.client.set("gaugepost:{eu}:schema", 2)
    for call in (lambda: bench.put(record()), bench.claim, bench.ledger.promote, bench.ledger.sweep):
        with pytest.raises(LedgerClosed):
            call()
    bench.client.delete("gaugepost:{eu}:schema")
    assert len(bench.claim()) == 1
