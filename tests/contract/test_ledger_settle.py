"""Check what settling an outcome writes: state, reason, result, history; each once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from gaugepost.ledger import Settlement
from gaugepost.transitions import Dead, Decision, Delivered, Parked, Requeued, Unknown
from gaugepost.verdict import Verdict
from support.factories import case, record, upload
from support.ledger_harness import LEASE_MS, NOON, Bench, attempt

if TYPE_CHECKING:
    from gaugepost.ledger import Claimed


def claimed_record(bench: Bench) -> Claimed:
    bench.put(record())
    return bench.claim()[-1]


def test_a_delivered_job_has_its_result_its_warnings_and_its_end(bench: Bench) -> None:
    claimed = claimed_record(bench)
    bench.clock.go(7)
    assert bench.settle(claimed, Delivered({"survey_link": "https://x"}, ("note twice",)), verdict=Verdict.DELIVERED)
    view = bench.view(claimed.id)
    assert (view.state, view.result, view.warnings) == ("delivered", {"survey_link": "https://x"}, ("note twice",))
    assert (view.enqueued_at, view.ended_at, view.verdict, view.last_verdict) == (NOON, NOON + 7, None, "delivered")
    assert [entry["event"] for entry in view.timeline()] == ["enqueued", "attempt", "delivered"]


def test_a_delivered_job_without_a_result_has_an_empty_one(bench: Bench) -> None:
    claimed = claimed_record(bench)
    bench.settle(claimed)
    assert bench.view(claimed.id).result == {}


def test_a_parked_job_shows_its_reason_and_its_time(bench: Bench) -> None:
    claimed = claimed_record(bench)
    assert bench.settle(claimed, Parked(5000, "no_campaign"), verdict=Verdict.NO_CAMPAIGN)
    view = bench.view(claimed.id)
    assert (view.state, view.reason, view.until) == ("parked", "no_campaign", NOON + 5000)
    assert bench.ledger.summary()["parked_by_reason"] == {"no_campaign": 1}


def test_a_dead_job_shows_its_verdict(bench: Bench) -> None:
    claimed = claimed_record(bench)
    assert bench.settle(claimed, Dead(Verdict.INVALID_VALUE), verdict=Verdict.INVALID_VALUE)
    assert (bench.state(claimed.id), bench.view(claimed.id).verdict) == ("dead", "invalid_value")
    assert bench.ledger.summary()["dead_by_verdict"] == {"invalid_value": 1}


def test_an_unknown_job_shows_its_reason_and_holds_its_lane(bench: Bench) -> None:
    _, follower = bench.put(case(), case())
    [claimed] = bench.claim()
    assert bench.settle(claimed, Unknown("answer lost"), verdict=Verdict.LOST_ANSWER)
    assert (bench.state(claimed.id), bench.view(claimed.id).reason) == ("unknown", "answer lost")
    assert bench.state(follower) == "waiting"


def test_requeued_job_is_claimed_before_later_ones(bench: Bench) -> None:
    claimed = claimed_record(bench)
    later = bench.put(record())
    assert bench.settle(claimed, Requeued())
    assert bench.claim_ids() == [claimed.id, *later]


def test_requeued_file_is_first_in_its_lane(bench: Bench) -> None:
    first, second = bench.put(upload("a.csv"), upload("b.csv"))
    [claimed] = bench.claim()
    bench.settle(claimed, Requeued())
    assert bench.states([first, second]) == ["waiting", "waiting"]
    assert bench.claim_ids() == [first]


@pytest.mark.parametrize("transition", [Delivered(), Parked(1, "x"), Dead(Verdict.DUPLICATE), Unknown("x"), Requeued()])
def test_nothing_is_settled_twice_or_under_a_stale_token(bench: Bench, transition: Requeued) -> None:
    claimed = claimed_record(bench)
    assert bench.settle(claimed, transition)
    before = bench.truth()
    assert not bench.settle(claimed, transition)
    assert not bench.settle(claimed)
    assert bench.truth() == before


def test_next_job_of_a_lane_waits_for_the_one_before(bench: Bench) -> None:
    first, second, third = bench.put(case(), case(), case())
    bench.settle(bench.claim()[0], Parked(10, "x"))
    assert bench.claim() == []
    bench.tick()
    assert bench.claim_ids() == [first]
    [lost] = [one.claimed for one in (bench.clock.go(LEASE_MS), bench.ledger.ended_leases())[1]]
    bench.settle(lost, Dead(Verdict.INVALID_VALUE), rescue=True)
    [claimed] = bench.claim()
    assert claimed.id == second
    bench.settle(claimed)
    assert bench.claim_ids() == [third]


def test_many_are_settled_in_one_call_each_for_itself(bench: Bench) -> None:
    bench.put(record(), record(), record())
    one, two, three = bench.claim()
    bench.settle(two)
    settlements = [
        Settlement(one, Decision(Delivered())),
        Settlement(two, Decision(Delivered())),
        Settlement(three, Decision(Parked(1, "x"))),
        Settlement(three, Decision(Delivered())),
    ]
    assert bench.ledger.settle(settlements) == [True, False, True, False]
    assert bench.states([one.id, two.id, three.id]) == ["delivered", "delivered", "parked"]


def test_history_lists_attempts_in_order(bench: Bench) -> None:
    claimed = claimed_record(bench)
    details = {"field_errors": {"Email": ["is required"]}, "message": "nöt \n good", "counted": False}
    first = attempt(claimed, Verdict.INVALID_VALUE, **details)
    second = attempt(claimed, Verdict.UNREACHABLE, n=2)
    bench.ledger.settle([Settlement(claimed, Decision(Parked(1, "x")), (first, second))])
    assert bench.view(claimed.id).history.attempts() == [first, second]
    bench.tick()
    assert bench.claim()[0].history.last_n == 2


def test_a_record_that_grows_long_keeps_its_newest_lines_whole(bench: Bench) -> None:
    claimed = claimed_record(bench)
    for n in range(1, 100):
        line = attempt(claimed, Verdict.SERVER_ERROR, n=n, message="x" * 600)
        bench.ledger.settle([Settlement(claimed, Decision(Requeued()), (line,))])
        [claimed] = bench.claim()
    numbers = [one.n for one in claimed.history.attempts()]
    assert numbers == list(range(numbers[0], 100))
    assert len(numbers) > 20
    assert claimed.history.last_n == 99


def test_newer_verdict_is_stored_beside_one_older_workers_know(bench: Bench) -> None:
    bench.put(record())
    [claimed] = bench.claim()
    bench.settle(claimed, Requeued(), verdict=Verdict.UNREADABLE_SUCCESS)
    [line] = bench.truth().jobs[claimed.id]["history"].splitlines()
    assert json.loads(line)["verdict"] == "server_error"
    [again] = bench.claim()
    assert [attempt.verdict for attempt in again.history.attempts()] == [Verdict.UNREADABLE_SUCCESS]
    assert bench.view(claimed.id).timeline()[1]["verdict"] == "unreadable_success"
