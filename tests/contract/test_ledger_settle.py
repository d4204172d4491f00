from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from gaugepost.ledger import Settlement
from gaugepost.states import TRANSITIONS, JobState
from gaugepost.transitions import (
    Dead,
    Decision,
    Delivered,
    Held,
    HoldSpec,
    Parked,
    Phase,
    Requeued,
    Resend,
    Streak,
    Unknown,
)
from gaugepost.verdict import Verdict
from support.factories import MAPPING, case, link, record, upload
from support.ledger_harness import HOUR_MS, LEASE_MS, NOON, SLOT_MS, Bench, attempt, breaker, mapping_hold

if TYPE_CHECKING:
    import redis

    from gaugepost.ledger import Claimed

SCOPE = f"configuration:{MAPPING}"


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


def test_a_worker_that_lost_its_lease_changes_nothing(bench: Bench) -> None:
    late = claimed_record(bench)
    bench.clock.go(LEASE_MS)
    assert bench.settle(late, Requeued(), rescue=True)
    [current] = bench.claim(worker="w2")
    before = bench.truth()
    assert not bench.settle(late, hold=breaker(), streak=Streak("s", 1, breaker()))
    assert bench.truth() == before
    assert bench.settle(current)


def test_late_answer_counts_until_the_job_is_rescued(bench: Bench) -> None:
    late = claimed_record(bench)
    bench.clock.go(10 * LEASE_MS)
    assert bench.settle(late)
    assert bench.ledger.ended_leases() == []


def test_the_rescuer_is_refused_while_the_lease_lives(bench: Bench) -> None:
    claimed = claimed_record(bench)
    bench.clock.go(LEASE_MS - 1)
    assert bench.ledger.ended_leases() == []
    assert not bench.settle(claimed, Requeued(), rescue=True)
    bench.clock.go(1)
    assert bench.settle(claimed, Requeued(), rescue=True)


def test_a_renewed_lease_lasts_longer_and_a_lost_one_is_not_renewed(bench: Bench) -> None:
    bench.put(record(), record())
    one, two = bench.claim()
    bench.clock.go(LEASE_MS - 1)
    assert bench.ledger.renew([one]) == [True]
    bench.clock.go(1)
    assert [lost.claimed.id for lost in bench.ledger.ended_leases()] == [two.id]
    assert bench.settle(two, Requeued(), rescue=True)
    assert bench.ledger.renew([one, two]) == [True, False]
    bench.settle(one)
    assert bench.ledger.renew([one]) == [False]


def test_ended_leases_have_what_the_rescuer_needs(bench: Bench) -> None:
    bench.put(record(), link(on_unknown="hold"), upload())
    claimed = {one.job.kind: one for one in bench.claim()}
    assert bench.ledger.mark(claimed["file"]) == (1, 0)
    bench.clock.go(LEASE_MS)
    lost = {one.claimed.job.kind: (one.once, one.marked) for one in bench.ledger.ended_leases()}
    assert lost == {"record": (False, False), "personal_link": (True, False), "file": (True, True)}
    assert {one.claimed.id: one.claimed for one in bench.ledger.ended_leases()} == {
        one.id: one for one in claimed.values()
    }


def test_a_mark_of_an_earlier_claim_is_no_mark(bench: Bench) -> None:
    bench.put(link(on_unknown="hold"))
    [first] = bench.claim()
    bench.ledger.mark(first)
    bench.settle(first, Requeued())
    bench.claim()
    bench.clock.go(LEASE_MS)
    assert [lost.marked for lost in bench.ledger.ended_leases()] == [False]


def test_lost_probe_is_reported_as_a_probe(bench: Bench) -> None:
    bench.put(record())
    bench.settle(bench.claim()[0], Requeued(), hold=breaker())
    bench.clock.go(15_000)
    [probe] = bench.claim()
    bench.clock.go(LEASE_MS)
    [lost] = bench.ledger.ended_leases()
    assert (lost.claimed.probe, lost.claimed.probe_verdict) == ("", Verdict.SERVER_ERROR)
    assert lost.claimed == probe


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


def test_failures_in_a_row_open_a_hold_and_success_resets_them(bench: Bench) -> None:
    bench.put(*(record() for _ in range(7)))
    jobs = bench.claim()
    streak = Streak("server", 3, breaker())
    for claimed in jobs[:2]:
        bench.settle(claimed, Parked(1, "x"), streak=streak)
    bench.settle(jobs[2], ends_streaks=("server",))
    for claimed in jobs[3:5]:
        bench.settle(claimed, Parked(1, "x"), streak=streak)
    assert bench.ledger.holds() == {}
    bench.settle(jobs[5], Parked(1, "x"), streak=streak)
    hold = bench.ledger.holds()[""]
    assert (hold.reason, hold.by, hold.since, hold.probe_at) == (
        "breaker: server_error",
        "gaugepost",
        NOON,
        NOON + 15_000,
    )
    bench.settle(jobs[6])


def test_existing_hold_is_not_changed(bench: Bench) -> None:
    bench.put(record(), record())
    one, two = bench.claim()
    bench.ledger.hold("", "maintenance", "ops")
    bench.settle(one, Requeued(), hold=breaker())
    bench.settle(two, Requeued(), hold=breaker())
    assert bench.ledger.holds()[""].by == "ops"


def region_probe(bench: Bench) -> Claimed:
    """Open the breaker, and claim its probe."""
    bench.put(record(), record())
    one, two = bench.claim()
    bench.settle(one, Requeued(), hold=breaker())
    bench.settle(two, Requeued())
    bench.clock.go(15_000)
    return bench.claim()[0]


def test_probe_that_fails_as_its_hold_did_extends_the_hold_by_schedule(bench: Bench) -> None:
    probe = region_probe(bench)
    waits = []
    for _ in range(4):
        bench.settle(probe, Requeued(), verdict=Verdict.SERVER_ERROR, hold=breaker())
        hold = bench.ledger.holds()[""]
        assert hold.probe_at is not None
        waits.append(hold.probe_at - bench.clock.ms)
        bench.clock.set(hold.probe_at - 1)
        assert bench.claim() == []
        bench.clock.go(1)
        [probe] = bench.claim()
    assert waits == [60_000, 300_000, 300_000, 300_000]
    bench.settle(probe)


def test_probe_obeys_a_longer_retry_after(bench: Bench) -> None:
    probe = region_probe(bench)
    spec = HoldSpec("", "x", Verdict.SERVER_ERROR, (HOUR_MS,))
    bench.settle(probe, Requeued(), verdict=Verdict.SERVER_ERROR, hold=spec)
    assert bench.ledger.holds()[""].probe_at == bench.clock.ms + HOUR_MS


@pytest.mark.parametrize("verdict", [Verdict.DELIVERED, Verdict.INVALID_VALUE])
def test_any_other_answer_to_a_probe_lifts_the_hold(bench: Bench, verdict: Verdict) -> None:
    probe = region_probe(bench)
    bench.settle(probe, Dead(verdict), verdict=verdict)
    assert bench.ledger.holds() == {}
    assert len(bench.claim()) == 1


def test_probe_with_another_verdict_may_replace_the_hold(bench: Bench) -> None:
    probe = region_probe(bench)
    throttle = HoldSpec("", "throttled", Verdict.THROTTLED, (30_000,))
    bench.settle(probe, Requeued(), verdict=Verdict.THROTTLED, hold=throttle)
    hold = bench.ledger.holds()[""]
    assert (hold.verdict, hold.probe_at) == ("throttled", bench.clock.ms + 30_000)


@pytest.mark.parametrize("verdict", [Verdict.UNREACHABLE, Verdict.LOST_ANSWER, None])
def test_a_probe_without_an_answer_or_given_back_unsent_keeps_the_hold(bench: Bench, verdict: Verdict | None) -> None:
    probe = region_probe(bench)
    bench.settle(probe, Requeued(), verdict=verdict)
    hold = bench.ledger.holds()[""]
    assert hold.probe_at == bench.clock.ms + 15_000
    bench.clock.go(15_000)
    assert bench.claim()[0].probe == ""


PROXY_HOLD = HoldSpec("", "proxy: 10.0.0.1:3128: timed out", Verdict.UNREACHABLE, (15_000, 60_000))


def proxy_probe(bench: Bench) -> Claimed:
    """Open the hold of an egress proxy, and claim its probe."""
    bench.put(record())
    [one] = bench.claim()
    bench.settle(one, Requeued(), counted=False, verdict=Verdict.UNREACHABLE, hold=PROXY_HOLD)
    bench.clock.go(15_000)
    return bench.claim()[0]


def test_proxy_hold_stays_while_its_probe_fails_at_the_proxy(bench: Bench) -> None:
    bench.settle(proxy_probe(bench), Requeued(), counted=False, verdict=Verdict.UNREACHABLE, hold=PROXY_HOLD)
    hold = bench.ledger.holds()[""]
    assert (hold.reason, hold.probe_at) == (PROXY_HOLD.reason, bench.clock.ms + 60_000)


@pytest.mark.parametrize("verdict", [Verdict.UNREACHABLE, Verdict.LOST_ANSWER, Verdict.SERVER_ERROR, Verdict.DELIVERED])
def test_proxy_hold_ends_with_a_probe_that_gets_past_the_proxy(bench: Bench, verdict: Verdict) -> None:
    bench.settle(proxy_probe(bench), Parked(1_000, verdict.value), verdict=verdict)
    assert bench.ledger.holds() == {}


def test_proxy_hold_stays_when_its_probe_is_given_back_unsent(bench: Bench) -> None:
    bench.settle(proxy_probe(bench), Requeued())
    assert "" in bench.ledger.holds()


def test_breaker_stays_when_its_probe_fails_at_the_proxy(bench: Bench) -> None:
    bench.settle(region_probe(bench), Requeued(), counted=False, verdict=Verdict.UNREACHABLE, hold=PROXY_HOLD)
    assert bench.ledger.holds()[""].reason == "breaker: server_error"


def test_a_probe_that_was_given_up_for_lost_decides_nothing_any_more(bench: Bench) -> None:
    late = region_probe(bench)
    bench.clock.go(2 * LEASE_MS)
    [probe] = bench.claim(worker="w2")
    bench.settle(late, verdict=Verdict.DELIVERED)
    assert "" in bench.ledger.holds()
    bench.settle(probe, verdict=Verdict.DELIVERED)
    assert bench.ledger.holds() == {}


def test_job_parked_under_a_missing_hold_is_released(bench: Bench) -> None:
    claimed = claimed_record(bench)
    bench.settle(claimed, Held(SCOPE, "unknown_mapping"))
    bench.tick()
    assert bench.state(claimed.id) == "queued"


def test_give_up_time_counts_from_first_parking_through_all_probes(bench: Bench) -> None:
    claimed = claimed_record(bench)
    held = Held(SCOPE, "unknown_mapping", 48 * HOUR_MS)
    bench.settle(claimed, held, verdict=Verdict.UNKNOWN_MAPPING, hold=mapping_hold(MAPPING))
    while bench.clock.ms < NOON + 46 * HOUR_MS:
        bench.tick(2 * HOUR_MS)
        for probe in bench.claim():
            assert probe.probe == SCOPE
            bench.settle(probe, held, verdict=Verdict.UNKNOWN_MAPPING, hold=mapping_hold(MAPPING))
    assert bench.state(claimed.id) == "parked"
    bench.clock.set(NOON + 48 * HOUR_MS)
    bench.ledger.promote()
    assert (bench.state(claimed.id), bench.view(claimed.id).verdict) == ("dead", "unknown_mapping")


def test_probe_job_gives_up_only_after_its_probe_ends(bench: Bench) -> None:
    claimed = claimed_record(bench)
    held = Held(SCOPE, "unknown_mapping", 1_000_000)
    bench.settle(claimed, held, verdict=Verdict.UNKNOWN_MAPPING, hold=mapping_hold(MAPPING))
    bench.tick(999_000)
    [probe] = bench.claim()
    bench.tick(2000)
    assert bench.state(claimed.id) == "sending"
    bench.settle(probe, held, verdict=Verdict.UNKNOWN_MAPPING, hold=mapping_hold(MAPPING))
    bench.tick()
    assert (bench.state(claimed.id), bench.view(claimed.id).verdict) == ("dead", "unknown_mapping")


def test_jobs_parked_at_claim_give_up_like_the_first_parked_one(bench: Bench) -> None:
    claimed = claimed_record(bench)
    hold = replace(mapping_hold(MAPPING), give_up_ms=48 * HOUR_MS)
    bench.settle(claimed, Held(SCOPE, "unknown_mapping", 48 * HOUR_MS), hold=hold)
    [other] = bench.put(record())
    assert bench.claim() == []
    bench.clock.go(48 * HOUR_MS)
    bench.ledger.promote()
    assert bench.states([claimed.id, other]) == ["dead", "dead"]


def test_no_job_gives_up_under_an_operators_hold(bench: Bench) -> None:
    claimed = claimed_record(bench)
    bench.settle(claimed, Held(SCOPE, "unknown_mapping", 48 * HOUR_MS), hold=mapping_hold(MAPPING))
    bench.ledger.hold(SCOPE, "we are at it", "ops")
    bench.tick(100 * HOUR_MS)
    assert bench.state(claimed.id) == "parked"


def test_another_hold_is_another_wait(bench: Bench) -> None:
    claimed = claimed_record(bench)
    held = Held(SCOPE, "unknown_mapping", 48 * HOUR_MS)
    bench.settle(claimed, held, hold=mapping_hold(MAPPING))
    bench.clock.go(40 * HOUR_MS)
    bench.ledger.resume(SCOPE)
    bench.tick()
    bench.settle(bench.claim()[0], held, hold=mapping_hold(MAPPING))
    bench.clock.go(40 * HOUR_MS)
    bench.ledger.resume(SCOPE)
    bench.tick()
    assert bench.state(claimed.id) == "queued"


# The upload slot


def test_a_job_that_is_no_file_is_marked_without_a_slot(bench: Bench) -> None:
    bench.put(link(on_unknown="hold"), link(on_unknown="hold"))
    assert [bench.ledger.mark(claimed) for claimed in bench.claim()] == [(1, 0), (1, 0)]


def marked_file(bench: Bench) -> Claimed:
    bench.put(upload("a.csv"), upload("b.csv"))
    [claimed] = bench.claim()
    assert bench.ledger.mark(claimed) == (1, 0)
    return claimed


def test_repeated_mark_moves_the_upload_slot_to_the_later_send(bench: Bench) -> None:
    claimed = marked_file(bench)
    bench.clock.go(5000)
    assert bench.ledger.mark(claimed) == (1, 0)
    assert int(bench.client.get("gaugepost:{eu}:slot")) == NOON + 5000


def test_repeated_mark_is_refused_when_another_file_has_the_slot(client: redis.Redis) -> None:
    bench = Bench(client, upload_interval=1, api_url="http://127.0.0.1")
    claimed = marked_file(bench)
    bench.clock.go(1100)
    [second] = bench.claim()
    assert bench.ledger.mark(second) == (1, 0)
    bench.clock.go(200)
    assert bench.ledger.mark(claimed) == (0, 900)
    assert bench.ledger.mark(second) == (1, 0)


def test_a_file_sent_again_waits_for_another_slot(bench: Bench) -> None:
    claimed = marked_file(bench)
    bench.settle(claimed, Requeued(), verdict=Verdict.LOST_ANSWER)
    bench.clock.go(SLOT_MS)
    [again] = bench.claim()
    bench.client.set("gaugepost:{eu}:slot", bench.clock.ms - 1)
    assert bench.ledger.mark(again) == (0, SLOT_MS - 1)


def test_a_lost_lease_takes_no_slot(bench: Bench) -> None:
    bench.put(upload())
    [claimed] = bench.claim()
    bench.clock.go(LEASE_MS)
    assert bench.ledger.mark(claimed) == (-1, 0)
    bench.settle(claimed, Requeued(), rescue=True)
    bench.claim()
    assert bench.ledger.mark(claimed) == (-1, 0)
    assert bench.client.get("gaugepost:{eu}:slot") is None


def test_when_the_clock_steps_back_a_whole_interval_passes_from_there(bench: Bench) -> None:
    bench.settle(marked_file(bench))
    bench.clock.step(-HOUR_MS)
    [second] = bench.claim()
    assert bench.ledger.mark(second) == (0, SLOT_MS)
    bench.settle(second, Requeued())
    assert bench.claim() == []
    bench.clock.go(SLOT_MS)
    assert bench.ledger.mark(bench.claim()[0]) == (1, 0)


def test_file_content_is_kept_after_an_end_and_deleted_on_cancel(bench: Bench) -> None:
    ends = {
        "delivered": Delivered(),
        "dead": Dead(Verdict.BAD_FILE),
        "unknown": Unknown("x"),
        "parked": Parked(HOUR_MS, "processing"),
    }
    kept = {}
    for name, transition in ends.items():
        bench.put(upload(f"{name}.csv"))
        [claimed] = bench.claim()
        bench.settle(claimed, transition)
        kept[name] = bench.ledger.content(claimed.id) is not None
    [file_id] = bench.put(upload())
    bench.ledger.cancel([file_id])
    assert bench.ledger.content(file_id) is None
    assert kept == dict.fromkeys(ends, True)


def test_a_sent_content_is_kept_for_its_retention_and_counts_until_then(bench: Bench) -> None:
    bench.put(upload())
    [claimed] = bench.claim()
    bench.settle(claimed)
    stored = int(bench.client.get("gaugepost:{eu}:content_bytes"))
    assert stored > 0
    bench.clock.go(24 * HOUR_MS - 1)
    bench.ledger.sweep()
    assert bench.ledger.content(claimed.id) is not None
    bench.clock.go(1)
    bench.ledger.sweep()
    assert bench.ledger.content(claimed.id) is None
    assert int(bench.client.get("gaugepost:{eu}:content_bytes")) == 0


def test_sent_file_is_looked_up_without_slot_and_requeued_if_missing(
    bench: Bench,
) -> None:
    bench.put(upload())
    [sent] = bench.claim()
    bench.ledger.mark(sent)
    bench.settle(sent, Parked(1000, "lost_answer", Phase.LOOKUP))
    bench.clock.go(2000)
    bench.ledger.promote()
    [looked] = bench.claim()
    assert (looked.id, looked.phase) == (sent.id, Phase.LOOKUP)
    bench.settle(looked, Resend())
    [view] = bench.ledger.read([sent.id])
    assert view is not None
    assert (view.state, view.reason) == (JobState.WAITING, "slot")
    bench.clock.go(HOUR_MS)
    [again] = bench.claim()
    assert (again.id, again.phase) == (sent.id, Phase.NONE)


# States


REACHED = {
    JobState.DELIVERED: lambda bench, claimed: bench.settle(claimed),
    JobState.DEAD: lambda bench, claimed: bench.settle(claimed, Dead(Verdict.DUPLICATE)),
    JobState.UNKNOWN: lambda bench, claimed: bench.settle(claimed, Unknown("x")),
    JobState.PARKED: lambda bench, claimed: bench.settle(claimed, Parked(HOUR_MS, "x")),
    JobState.SENDING: lambda bench, claimed: None,
    JobState.QUEUED: lambda bench, claimed: bench.settle(claimed, Requeued()),
    JobState.CANCELLED: lambda bench, claimed: bench.settle(claimed, Requeued()) and bench.ledger.cancel([claimed.id]),
}


@pytest.mark.parametrize("state", [*REACHED, JobState.WAITING, JobState.EXPIRED], ids=str)
def test_every_call_refuses_transitions_that_a_state_forbids(bench: Bench, state: JobState) -> None:
    """Make each call that changes a state from this one; it may change only what TRANSITIONS lists."""
    calls = {
        "cancel": lambda job_id: bench.ledger.cancel([job_id]),
        "replay": lambda job_id: bench.ledger.replay([job_id]),
        "resolve": lambda job_id: bench.ledger.resolve([job_id], JobState.DEAD),
        "delivered": lambda job_id: bench.settle(bench.held, Delivered()),
        "parked": lambda job_id: bench.settle(bench.held, Parked(1, "x")),
        "held": lambda job_id: bench.settle(bench.held, Held(SCOPE, "x"), hold=mapping_hold(MAPPING)),
        "dead": lambda job_id: bench.settle(bench.held, Dead(Verdict.DUPLICATE)),
        "unknown": lambda job_id: bench.settle(bench.held, Unknown("x")),
        "queued": lambda job_id: bench.settle(bench.held, Requeued()),
    }
    for name, call in calls.items():
        bench.client.flushall()
        bench.clock.set(NOON)
        job_id = _bring(bench, state)
        assert bench.state(job_id) == state
        call(job_id)
        after = bench.state(job_id)
        assert after is not None
        assert after == state or JobState(after) in TRANSITIONS[state], f"{name}: {state} to {after}"
        if state is not JobState.SENDING and name not in {"cancel", "replay", "resolve"}:
            assert after == state
        assert bench.truth().faults == []


def _bring(bench: Bench, state: JobState) -> str:
    if state is JobState.WAITING:
        _, job_id = bench.put(case(), case())
        [bench.held] = bench.claim()
        bench.held = type(bench.held)(job_id, 1, NOON, bench.held.job, bench.held.history)
        return job_id
    if state is JobState.EXPIRED:
        bench.put(record(expires_at=datetime.fromtimestamp((NOON + LEASE_MS) / 1000, UTC)))
        [bench.held] = bench.claim()
        bench.clock.go(LEASE_MS)
        bench.settle(bench.held, Requeued())
        bench.ledger.promote()
        return str(bench.held.id)
    bench.put(record())
    [bench.held] = bench.claim()
    REACHED[state](bench, bench.held)
    return str(bench.held.id)


def test_newer_verdict_is_stored_beside_one_older_workers_know(bench: Bench) -> None:
    bench.put(record())
    [claimed] = bench.claim()
    bench.settle(claimed, Requeued(), verdict=Verdict.UNREADABLE_SUCCESS)
    [line] = bench.truth().jobs[claimed.id]["history"].splitlines()
    assert json.loads(line)["verdict"] == "server_error"
    [again] = bench.claim()
    assert [attempt.verdict for attempt in again.history.attempts()] == [Verdict.UNREADABLE_SUCCESS]
    assert bench.view(claimed.id).timeline()[1]["verdict"] == "unreadable_success"
