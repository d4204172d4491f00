"""Canaries: the first jobs of a batch are sent, and decide about the others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from gaugepost import BatchConflict
from gaugepost.ledger import Entry
from gaugepost.together import Together
from gaugepost.transitions import Dead, Delivered, Unknown
from gaugepost.verdict import Verdict
from support.batches import SCOPE, batch, canary_of, deliver_all, put, records
from support.factories import case, record, upload
from support.ledger_harness import HOUR_MS, NOON, SLOT_MS, Bench

if TYPE_CHECKING:
    pass


def test_first_jobs_go_out_and_the_others_wait(bench: Bench) -> None:
    ids = put(bench, records(10), canary=3)
    assert bench.states(ids) == ["queued"] * 3 + ["parked"] * 7
    assert bench.claim_ids() == ids[:3]
    assert (bench.view(ids[5]).held_by, bench.claim()) == (SCOPE, [])
    assert bench.view(ids[0]).reason is None
    found = batch(bench)
    assert (found.held, found.canary and (found.canary.state, found.canary.members)) == (7, ("running", 3))


def test_clean_canary_lifts_its_hold(bench: Bench) -> None:
    ids = put(bench, records(10), canary=3)
    for claimed in bench.claim():
        bench.settle(claimed)
    assert bench.ledger.holds() == {}
    assert deliver_all(bench) == 7
    assert bench.states(ids) == ["delivered"] * 10
    canary = canary_of(bench)
    assert (canary.state, canary.reason) == ("passed", "canary: 0 of 3 not clean")


def test_faulty_canary_stays_held_with_its_reason(bench: Bench) -> None:
    ids = put(bench, records(8), canary=4, tolerance=25)
    first, second, third, fourth = bench.claim()
    bench.settle(first, Dead(Verdict.INVALID_VALUE), verdict=Verdict.INVALID_VALUE)
    bench.settle(second, Dead(Verdict.INVALID_VALUE), verdict=Verdict.INVALID_VALUE)
    bench.settle(third, Unknown("answer lost"))
    assert canary_of(bench).state == "running"
    bench.settle(fourth)
    reason = "canary: 3 of 4 not clean: 2 invalid_value, 1 unknown"
    assert bench.ledger.holds()[SCOPE].reason == reason
    assert (bench.view(ids[7]).reason, canary_of(bench).state) == (reason, "held")
    assert deliver_all(bench) == 0


@pytest.mark.parametrize(("tolerance", "state"), [(24.9, "held"), (25, "passed")])
def test_tolerance_is_a_share_of_the_canary(bench: Bench, tolerance: float, state: str) -> None:
    put(bench, records(5), canary=4, tolerance=tolerance)
    warned, *clean = bench.claim()
    bench.settle(warned, Delivered(warnings=("a field was dropped",)))
    for claimed in clean:
        bench.settle(claimed)
    canary = canary_of(bench)
    assert (canary.state, canary.faulty) == (state, 1)
    assert ("1 warning: a field was dropped" in str(canary.reason)) == (state == "held")


def test_resume_sends_the_rest_in_spite_of_the_canary(bench: Bench) -> None:
    put(bench, records(5), canary=1)
    bench.settle(bench.claim()[0], Dead(Verdict.INVALID_VALUE))
    assert bench.ledger.resume(SCOPE, "ann")
    assert deliver_all(bench) == 4
    assert put(bench, records(1))
    assert deliver_all(bench) == 1
    assert canary_of(bench).state == "resumed"


def test_resume_before_the_decision_ends_the_canary(bench: Bench) -> None:
    put(bench, records(5), canary=2)
    first, second = bench.claim()
    bench.settle(first, Dead(Verdict.INVALID_VALUE))
    assert bench.ledger.resume(SCOPE)
    bench.settle(second, Dead(Verdict.INVALID_VALUE))
    assert bench.ledger.holds() == {}
    assert deliver_all(bench) == 3


def test_cancelled_batch_leaves_no_hold(bench: Bench) -> None:
    ids = put(bench, records(5), canary=1)
    bench.settle(bench.claim()[0], Dead(Verdict.INVALID_VALUE))
    bench.ledger.cancel(ids)
    assert bench.ledger.holds() == {}
    [late] = put(bench, records(1))
    assert bench.view(late).reason == "canary: 1 of 1 not clean: 1 invalid_value"


def test_cancelled_member_holds_the_batch_until_resume(bench: Bench) -> None:
    ids = put(bench, records(6), canary=3, tolerance=100)
    bench.ledger.cancel(ids[:2])
    assert canary_of(bench).state == "running"
    bench.settle(bench.claim()[0])
    canary, reason = canary_of(bench), "canary: 2 of 3 were cancelled"
    assert (canary.state, canary.reason, canary.faulty) == ("held", reason, 0)
    assert (bench.ledger.holds()[SCOPE].reason, deliver_all(bench)) == (reason, 0)
    assert bench.ledger.resume(SCOPE)
    assert deliver_all(bench) == 3


def test_cancellation_from_the_newest_leaves_the_canary_held(bench: Bench) -> None:
    ids = put(bench, records(6), canary=3)
    first, second = bench.claim(2)
    bench.settle(first)
    bench.settle(second, Dead(Verdict.INVALID_VALUE), verdict=Verdict.INVALID_VALUE)
    for one in reversed(ids[2:]):
        bench.ledger.cancel([one])
    canary = canary_of(bench)
    assert canary.reason == "canary: 1 of 3 was cancelled; 1 of 2 not clean: 1 invalid_value"
    [late] = put(bench, records(1))
    assert (canary.state, bench.state(late)) == ("held", "parked")


def test_expired_members_do_not_count(bench: Bench) -> None:
    soon = datetime.fromtimestamp(NOON / 1000, UTC) + timedelta(minutes=1)
    put(bench, [record(expires_at=soon), record(), record()], canary=2)
    bench.tick(HOUR_MS)
    assert deliver_all(bench) == 2
    assert canary_of(bench).reason == "canary: 0 of 1 not clean"


def test_canary_of_which_none_was_sent_stays_held(bench: Bench) -> None:
    soon = datetime.fromtimestamp(NOON / 1000, UTC) + timedelta(minutes=1)
    put(bench, [*records(2, expires_at=soon), *records(2)], canary=2)
    bench.tick(HOUR_MS)
    assert bench.ledger.holds()[SCOPE].reason == "canary: none of 2 was sent"


def test_replayed_member_counts_once(bench: Bench) -> None:
    ids = put(bench, records(6), canary=2, tolerance=0)
    first, second = bench.claim()
    bench.settle(first, Dead(Verdict.INVALID_VALUE))
    bench.ledger.replay([first.id])
    bench.settle(second)
    assert canary_of(bench).state == "running"
    bench.settle(bench.claim()[0])
    assert canary_of(bench).state == "passed"
    assert deliver_all(bench) == 4
    assert bench.states(ids) == ["delivered"] * 6


def test_replayed_member_goes_out_under_the_hold(bench: Bench) -> None:
    put(bench, records(3), canary=1)
    [member] = bench.claim()
    bench.settle(member, Dead(Verdict.INVALID_VALUE))
    bench.ledger.replay([member.id])
    [again] = bench.claim()
    assert (again.id, bench.settle(again), bench.claim()) == (member.id, True, [])


def test_small_batch_does_not_wait(bench: Bench) -> None:
    put(bench, records(3), canary=5)
    assert deliver_all(bench) == 3
    assert bench.ledger.holds() == {}
    put(bench, records(4), canary=5)
    assert len(bench.claim()) == 2


def test_other_canary_is_refused_and_nothing_stored(bench: Bench) -> None:
    put(bench, records(2), canary=2)
    for canary, tolerance in ((3, None), (2, 10)):
        with pytest.raises(BatchConflict, match="batch b has begun with a canary of 2 with tolerance 5"):
            put(bench, records(1), canary=canary, tolerance=tolerance)
    put(bench, records(1))
    assert (batch(bench).total, batch(bench).held) == (3, 1)


@pytest.mark.parametrize(("resumed", "words"), [(False, "has passed"), (True, "was resumed")])
def test_new_call_for_a_decided_canary_is_refused(bench: Bench, resumed: bool, words: str) -> None:
    put(bench, records(2), canary=1)
    bench.settle(bench.claim()[0], Dead(Verdict.INVALID_VALUE) if resumed else Delivered())
    if resumed:
        put(bench, records(1), canary=1)  # its canary is held: a call may be repeated
        bench.ledger.resume(SCOPE)
    total = batch(bench).total
    with pytest.raises(BatchConflict, match=rf"its canary {words}: enqueue more .*--batch b without --canary"):
        put(bench, records(1), canary=1)
    put(bench, records(1))
    assert batch(bench).total == total + 1


def test_call_that_began_before_the_decision_goes_on(bench: Bench) -> None:
    together = Together.of("b", 1, None)
    first, second = (
        [Entry.of(together.named(job), None, together.asks(job.region)) for job in records(2)] for _ in range(2)
    )
    bench.ledger.enqueue(first)
    bench.settle(bench.claim()[0])
    for some in (first, second, first):  # an answer was lost: the call is repeated
        bench.ledger.enqueue(some)
    assert batch(bench).total == 4


def test_batch_that_began_without_canary_gets_none(bench: Bench) -> None:
    put(bench, records(1))
    with pytest.raises(BatchConflict, match="batch b has begun with no canary"):
        put(bench, records(1), canary=1)


def test_urgent_and_other_jobs_pass_a_waiting_batch(bench: Bench) -> None:
    put(bench, records(5), canary=1)
    bench.claim()
    [urgent, plain] = bench.put(record(urgent=True), record())
    assert bench.claim_ids() == [urgent, plain]


def test_jobs_of_a_case_keep_their_order(bench: Bench) -> None:
    [first] = put(bench, [case(1)], canary=1)
    [second, third] = put(bench, [case(1, status="closed"), case(2)], canary=1)
    after = bench.put(case(1))[0]
    [member] = bench.claim()
    assert (member.id, bench.state(third)) == (first, "parked")
    bench.settle(member, Dead(Verdict.INVALID_VALUE))
    assert bench.claim() == []
    assert bench.states([second, third, after]) == ["parked", "parked", "waiting"]
    bench.ledger.resume(SCOPE)
    bench.tick()
    assert sorted(bench.claim_ids()) == sorted([second, third])


def test_scheduled_member_keeps_the_others_waiting(bench: Bench) -> None:
    later = datetime.fromtimestamp(NOON / 1000, UTC) + timedelta(hours=1)
    [member] = put(bench, records(1, deliver_at=later), canary=1)
    [now, also_later] = put(bench, [record(), record(deliver_at=later)], canary=1)
    assert bench.states([member, now]) == ["parked", "parked"]
    bench.tick(HOUR_MS + 1000)
    [claimed] = bench.claim()
    assert (claimed.id, bench.view(also_later).held_by) == (member, SCOPE)
    bench.settle(claimed)
    assert deliver_all(bench) == 2


def test_files_of_a_batch_wait_for_its_canary(bench: Bench) -> None:
    first, second = put(bench, [upload("a.csv"), upload("b.csv", b"Email\nc@d.example\n")], canary=1)
    [member] = bench.claim()
    assert bench.ledger.mark(member)[0] == 1
    bench.clock.go(SLOT_MS)
    assert (member.id, bench.claim(), bench.view(second).held_by) == (first, [], SCOPE)
    bench.settle(member)
    bench.tick(SLOT_MS)
    assert bench.claim_ids() == [second]


def test_settlement_of_an_older_worker_is_counted_by_a_tick(bench: Bench) -> None:
    ids = put(bench, records(3), canary=2)
    for claimed in bench.claim():
        bench.client.hdel(f"gaugepost:{{eu}}:job:{claimed.id}", "batch")  # an older script does not read it
        bench.settle(claimed)
        bench.client.hset(f"gaugepost:{{eu}}:job:{claimed.id}", "batch", "b")
    assert canary_of(bench).state == "running"
    assert deliver_all(bench) == 1
    assert bench.states(ids) == ["delivered"] * 3


def test_erased_member_counts_as_never_sent(bench: Bench) -> None:
    ids = put(bench, records(3), canary=2)
    bench.ledger._run(bench.ledger.erasure.step([bench.view(ids[0])], NOON, "ann"))
    bench.settle(bench.claim()[0])
    assert (canary_of(bench).state, deliver_all(bench)) == ("passed", 1)
    assert bench.view(ids[0]).job["batch"] == "b"


def test_member_behind_another_hold_delays_the_decision(bench: Bench) -> None:
    put(bench, records(4), canary=2)
    bench.ledger.hold("configuration:" + record().configuration, "repair", "ann")
    assert bench.claim() == []
    canary = canary_of(bench)
    assert {bench.view(member).reason for member in canary.open} == {"repair"}
    bench.ledger.resume("configuration:" + record().configuration)
    for _ in range(3):
        bench.tick()
        for claimed in bench.claim():
            bench.settle(claimed)
    assert canary_of(bench).state == "passed"


def test_decision_is_made_once_when_an_answer_was_lost(bench: Bench) -> None:
    put(bench, records(3), canary=1)
    [member] = bench.claim()
    for _ in range(2):
        assert bench.settle(member, Dead(Verdict.INVALID_VALUE), verdict=Verdict.INVALID_VALUE)
    assert bench.ledger.resume(SCOPE)
    assert bench.settle(member, Dead(Verdict.INVALID_VALUE), verdict=Verdict.INVALID_VALUE)
    assert bench.ledger.holds() == {}
