"""Check files after their upload: a lookup needs no slot, and an unclear outcome sends nothing twice."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gaugepost import JobState
from gaugepost.ledger import Settlement
from gaugepost.transitions import Check, Dead, Decision, Delivered, Parked, Phase, Requeued, Resend
from gaugepost.verdict import Verdict
from support.factories import file_set, record, upload
from support.file_sets import (
    LOOKUP,
    PREFIX,
    PROCESSING,
    SOON,
    accept,
    claim_and_mark,
    look,
    next_starts,
)
from support.ledger_harness import HOUR_MS, LEASE_MS, NOON, SLOT_MS, Bench, breaker


def test_tracked_file_needs_no_slot_and_does_not_block_the_lane(bench: Bench) -> None:
    first, second = accept(bench, file_set(2))
    bench.settle(claim_and_mark(bench), PROCESSING)
    assert bench.state(first) == "parked"
    bench.tick(SOON)
    [looked] = bench.claim()
    assert (looked.id, looked.phase) == (first, Phase.PROCESSING)
    bench.clock.go(SLOT_MS)
    [started] = bench.claim()
    assert started.id == second, "during a status lookup the next file takes its slot"
    assert bench.ledger.mark(started) == (1, 0)
    assert bench.settle(looked, Delivered({"total": 1}))
    assert bench.states([first, second]) == ["delivered", "sending"]


def test_file_with_unclear_outcome_uses_its_slot_and_is_next(bench: Bench) -> None:
    first, second, third = accept(bench, file_set(3))
    bench.settle(claim_and_mark(bench), LOOKUP)
    assert bench.claim() == [], "the slot is used"
    bench.clock.go(SLOT_MS)
    bench.ledger.promote()
    claimed = {one.id: one for one in bench.claim()}
    assert bench.ledger.mark(claimed[second]) == (1, 0)
    assert bench.settle(claimed[second])
    assert bench.settle(claimed[first], Resend(), counted=False)
    assert (bench.state(first), bench.view(first).reason) == ("waiting", "slot")
    assert bench.claim() == []
    bench.clock.go(SLOT_MS)
    assert next_starts(bench, 2) == [first, third]


def test_file_sent_again_takes_its_own_slot_and_mark(bench: Bench) -> None:
    [job_id] = accept(bench, file_set(1))
    bench.settle(claim_and_mark(bench), LOOKUP)
    look(bench, job_id, Resend())
    bench.clock.go(SLOT_MS)
    [again] = bench.claim()
    assert again.phase is Phase.NONE
    bench.clock.go(LEASE_MS)
    [lost] = bench.ledger.ended_leases()
    assert (lost.once, lost.marked) == (True, False), "its second sending has not begun"
    bench.settle(again, Requeued(), rescue=True)
    assert bench.ledger.mark(bench.claim()[0]) == (1, 0)


def test_worker_lost_during_a_lookup_costs_one_lookup_and_no_resend(bench: Bench) -> None:
    [job_id] = accept(bench, file_set(1))
    bench.settle(claim_and_mark(bench), PROCESSING)
    bench.tick(SOON)
    [looked] = bench.claim()
    bench.clock.go(LEASE_MS)
    [lost] = bench.ledger.ended_leases()
    assert (lost.once, lost.marked) == (True, False)
    bench.settle(looked, Requeued(), rescue=True)
    [again] = bench.claim()
    assert (again.id, again.phase) == (job_id, Phase.PROCESSING)


def test_sent_file_is_neither_cancelled_nor_expired(bench: Bench) -> None:
    soon = datetime.fromtimestamp((NOON + SOON) / 1000, UTC)
    sent, unclear = bench.put(upload("a.csv", expires_at=soon), upload("b.csv", expires_at=soon))
    bench.settle(claim_and_mark(bench), PROCESSING)
    bench.client.delete(PREFIX + "slot")
    bench.settle(claim_and_mark(bench), LOOKUP)
    assert bench.ledger.cancel([sent, unclear]) == [(JobState.PARKED, False)] * 2
    bench.tick(2 * SOON)
    assert bench.ledger.cancel([sent, unclear]) == [(JobState.QUEUED, False)] * 2
    looked = {one.id: one for one in bench.claim()}
    assert set(looked) == {sent, unclear}
    bench.settle(looked[sent], Delivered())
    bench.settle(looked[unclear], Resend())
    bench.tick(SOON)
    assert bench.states([sent, unclear]) == ["delivered", "expired"], "not there, so it was not sent after all"


def test_cancelling_a_set_stops_what_was_not_sent_and_nothing_else(bench: Bench) -> None:
    ids = accept(bench, file_set(4))
    bench.settle(claim_and_mark(bench), PROCESSING)
    bench.clock.go(SLOT_MS)
    sending = claim_and_mark(bench)
    done = [done for _, done in bench.ledger.cancel(ids)]
    assert done == [False, False, True, True]
    assert bench.states(ids) == ["parked", "sending", "cancelled", "cancelled"]
    assert bench.settle(sending, PROCESSING)
    assert [bench.ledger.file_sets.content(job_id) is not None for job_id in ids] == [True, True, False, False]


def test_a_followed_file_waits_under_a_hold_and_is_looked_at_afterwards(bench: Bench) -> None:
    [job_id] = accept(bench, file_set(1))
    bench.settle(claim_and_mark(bench), PROCESSING)
    bench.ledger.hold("credentials:api_key", "no key", "ann")
    bench.tick(SOON)
    assert bench.claim() == []
    assert bench.view(job_id).reason == "no key"
    assert bench.ledger.cancel([job_id]) == [(JobState.PARKED, False)]
    bench.ledger.resume("credentials:api_key")
    bench.tick()
    [looked] = bench.claim()
    assert (looked.id, looked.phase) == (job_id, Phase.PROCESSING)


@pytest.mark.parametrize("answered", [True, False])
def test_status_lookup_as_probe_lifts_a_hold_if_it_was_answered(bench: Bench, answered: bool) -> None:
    accept(bench, file_set(1))
    bench.settle(claim_and_mark(bench), PROCESSING)
    bench.put(record())
    bench.settle(bench.claim()[0], Dead(Verdict.DUPLICATE), hold=breaker())
    bench.tick(15_000)
    [probe] = bench.claim()
    assert (probe.phase, probe.probe) == (Phase.PROCESSING, "")
    check = Check(NOON, 200, found=False, answered=answered)
    assert bench.ledger.settle([Settlement(probe, Decision(PROCESSING, counted=False), check=check)]) == [True]
    assert (bench.ledger.holds() == {}) is answered


def test_long_history_loses_lookups_before_attempts(bench: Bench) -> None:
    [job_id] = accept(bench, file_set(1))
    bench.settle(claim_and_mark(bench), LOOKUP, verdict=Verdict.LOST_ANSWER)
    for n in range(600):
        bench.tick(SOON)
        check = Check(NOON + n, 200, found=True, answered=True)
        bench.ledger.settle(
            [Settlement(one, Decision(PROCESSING, counted=False), check=check) for one in bench.claim()]
        )
    history = bench.view(job_id).history
    assert [attempt.verdict for attempt in history.attempts()] == [Verdict.LOST_ANSWER]
    assert history.entries[0]["event"] == "attempt"
    looks = [entry["at"] for entry in history.checks()]
    assert looks == list(range(NOON + 600 - len(looks), NOON + 600)), "the newest, whole and in order"
    assert 100 < len(looks) < 600


def test_replayed_dead_part_returns_to_its_place_and_is_sent(bench: Bench) -> None:
    first, second, third = accept(bench, file_set(3))
    bench.settle(claim_and_mark(bench), LOOKUP)
    look(bench, first, Dead(Verdict.SERVER_ERROR))
    assert bench.ledger.replay([first]) == [(JobState.WAITING, True)]
    assert bench.claim() == [], "its first sending has used the slot"
    bench.clock.go(SLOT_MS)
    [again] = bench.claim()
    assert (again.id, again.phase) == (first, Phase.NONE)
    bench.settle(again)
    assert next_starts(bench, 2) == [second, third]


def test_replayed_tracked_file_is_looked_up_and_not_sent(bench: Bench) -> None:
    [job_id] = accept(bench, file_set(1))
    bench.settle(claim_and_mark(bench), Parked(HOUR_MS, "processing", Phase.PROCESSING))
    bench.ledger.replay([job_id])
    [looked] = bench.claim()
    assert (looked.id, looked.phase) == (job_id, Phase.PROCESSING)
