"""Batches: jobs under one name, counted by state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gaugepost import InvalidJob, Region
from gaugepost.keys import Keys
from gaugepost.ledger import Entry
from gaugepost.ledger.reference_query import Query
from gaugepost.together import Together
from gaugepost.transitions import Dead, Delivered, Unknown
from gaugepost.verdict import Verdict
from support.batches import batch, put, records
from support.factories import file_set, record
from support.ledger_harness import NOON, Bench

if TYPE_CHECKING:
    pass

KEYS = Keys(Region.EU)


def test_batch_counts_its_jobs_by_state_and_verdict(bench: Bench) -> None:
    put(bench, records(5))
    bench.put(record())
    one, two, three, *_ = bench.claim(4)
    bench.settle(one, Delivered(warnings=("w",)))
    bench.settle(two, Dead(Verdict.INVALID_VALUE))
    bench.settle(three, Unknown("answer lost"))
    found = batch(bench)
    assert (found.total, found.warnings, found.verdicts) == (5, 1, {"invalid_value": 1})
    assert found.states == {"delivered": 1, "dead": 1, "unknown": 1, "sending": 1, "queued": 1}
    assert bench.ledger.batches.newest(10) == ["b"]
    assert bench.view(one.id).job["batch"] == "b"


def test_repeated_call_counts_once(bench: Bench) -> None:
    together = Together.of("b", 2, None)
    jobs = [record(idempotency_key=f"k{n}") for n in range(4)]
    entries = [Entry.of(together.named(job), None, together.canary) for job in jobs]
    again = [Entry.of(together.named(job), None, together.canary) for job in jobs]
    for some in (entries, entries, again):
        bench.ledger.enqueue(some)
    found = batch(bench)
    assert (found.total, found.states, found.held) == (4, {"queued": 2, "parked": 2}, 2)


def test_parts_of_an_upload_belong_to_its_batch(bench: Bench) -> None:
    files, entries = file_set(3)
    named = [Entry(entry.id, entry.job.model_copy(update={"batch": "b"})) for entry in entries]
    for entry in named:
        bench.ledger.file_sets.stage(entry.id, b"Email\n")
    for _ in range(2):
        bench.ledger.file_sets.enqueue(files, named, again=False, first=False)
    assert (batch(bench).total, batch(bench).states) == (3, {"waiting": 3})


def test_batch_leaves_no_key_when_its_jobs_are_deleted(bench: Bench) -> None:
    ids = put(bench, records(4), canary=2)
    first, second = bench.claim()
    bench.settle(first)
    bench.settle(second, Dead(Verdict.INVALID_VALUE))
    bench.ledger.cancel(ids[2:])
    bench.clock.go(400 * 86_400_000)
    bench.ledger.sweep()
    left = [key.decode() for key in bench.client.scan_iter() if b"atch" in key or b"canar" in key or b"held" in key]
    assert (left, bench.ledger.holds()) == ([], {})


def test_deleted_jobs_stay_counted_while_others_are_left(bench: Bench) -> None:
    put(bench, records(2))
    bench.settle(bench.claim(1)[0])
    bench.clock.go(60 * 86_400_000)
    bench.ledger.sweep()
    assert (batch(bench).total, batch(bench).states) == (2, {"delivered": 1, "queued": 1})


def test_stale_open_batch_does_not_stop_the_clean_up_of_others(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gaugepost.ledger.worker_calls.SWEPT_AT_ONCE", 1)
    put(bench, records(1))
    # A worker of an older version has deleted the only job of the other batch.
    bench.client.hset(KEYS.of("batch:", "other"), mapping={"started": NOON, "total": 1, "stored": 1, "delivered": 1})
    bench.client.zadd(KEYS["batches"], {"other": NOON + 1000})
    bench.clock.go(101 * 86_400_000)
    for _ in range(2):
        bench.ledger.sweep()
    assert (bench.ledger.batches.newest(10), batch(bench).left) == (["b"], 1)


def test_old_jobs_of_a_deleted_batch_do_not_delete_its_successor(bench: Bench) -> None:
    put(bench, records(2))
    for claimed in bench.claim():
        bench.settle(claimed)
    bench.client.delete(KEYS.of("batch:", "b"))
    bench.clock.go(400 * 86_400_000)
    put(bench, records(2), canary=1)
    bench.ledger.sweep()
    assert (batch(bench).states, batch(bench).held) == ({"queued": 1, "parked": 1}, 1)
    assert set(bench.ledger.holds()) == {"batch:b"}
    bench.client.hset(KEYS.of("batch:", "b"), "stored", 2)  # the old jobs were subtracted; the harness counts again


def test_forecast_follows_the_rate_of_the_batch(bench: Bench) -> None:
    put(bench, records(40))
    for _ in range(10):
        bench.clock.go(1000)
        bench.settle(bench.claim(1)[0])
    view = batch(bench)
    assert view.left == 30
    assert view.states == {"delivered": 10, "queued": 30}


def test_two_canaries_do_not_touch_each_other(bench: Bench) -> None:
    other = Together.of("other", 1, None)
    put(bench, records(2), canary=1)
    entries = [Entry.of(other.named(job), None, other.canary) for job in records(2)]
    bench.ledger.enqueue(entries)
    first, second = bench.claim()
    bench.settle(second, Dead(Verdict.INVALID_VALUE))
    bench.settle(first)
    assert set(bench.ledger.holds()) == {"batch:other"}


def test_find_lists_the_jobs_of_a_batch(bench: Bench) -> None:
    ids = put(bench, records(3))
    bench.put(record())
    found = bench.ledger.find(Query.of(None, {"batch": "b"}, None, None), 10)
    assert sorted(view.id for view in found) == sorted(ids)
    assert {view.matched for view in bench.ledger.find(Query.of("b", {}, None, None), 10)} == {"batch"}


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"batch": "a b"}, "batch"),
        ({"batch": "x" * 101}, "batch"),
        ({"canary": 5}, "canary"),
        ({"batch": "b", "canary": 0}, "canary"),
        ({"batch": "b", "canary": 1001}, "canary"),
        ({"batch": "b", "canary": 5, "tolerance": 101}, "tolerance"),
        ({"batch": "b", "tolerance": 5}, "tolerance"),
    ],
)
def test_wrong_options_are_refused_before_a_job_is_stored(options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidJob) as refused:
        Together.of(**options)
    assert [problem.field for problem in refused.value.problems] == [field]
