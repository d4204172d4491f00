"""Replays with edits, what stays, and repeated calls: the ledger's side of `gaugepost replay` and `settle`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from gaugepost.jobs import JobBase
from gaugepost.ledger import Edit
from gaugepost.ledger.scripts import Call
from gaugepost.states import JobState
from gaugepost.transitions import Dead, Held, Parked, Phase, Unknown
from gaugepost.verdict import Verdict
from support.factories import MAPPING, case, link, record, response, upload
from support.ledger_harness import HOUR_MS, NOON, Bench, breaker, mapping_hold

SCOPE = f"configuration:{MAPPING}"
DEAD = Dead(Verdict.MISSING_FIELD)


def bury(bench: Bench, *jobs: JobBase) -> list[str]:
    ids = bench.put(*jobs)
    while claimed := bench.claim():
        for one in claimed:
            bench.settle(one, DEAD, verdict=Verdict.MISSING_FIELD)
    return ids


def edit(job: JobBase, *fields: str, revision: int = 0) -> Edit:
    return Edit(job, revision, fields)


def replay_edited(bench: Bench, job_id: str, job: JobBase, **more: Any) -> tuple[JobState | None, bool]:
    return bench.ledger.replay([job_id], "ann@desk", "mended", {job_id: edit(job, "a.field", **more)})[0]


def until(ms: int) -> datetime:
    return datetime.fromtimestamp((NOON + ms) / 1000, UTC)


def test_edited_job_is_sent_as_edited_and_its_history_names_only_fields(bench: Bench) -> None:
    [job_id] = bury(bench, record(idempotency_key="k"))
    mended = record(record={"Email": "new@b.example"}, idempotency_key="k")
    assert replay_edited(bench, job_id, mended) == (JobState.QUEUED, True)
    [claimed] = bench.claim()
    assert claimed.job == mended
    [entry] = [one for one in bench.view(job_id).timeline() if one["event"] == "replayed"]
    assert (entry["by"], entry["why"], entry["edited"]) == ("ann@desk", "mended", ["a.field"])
    assert "new@b.example" not in str(bench.view(job_id).timeline())


def test_idempotency_key_blocks_no_replay_and_still_finds_the_job(bench: Bench) -> None:
    [job_id] = bury(bench, record(idempotency_key="k"))
    assert bench.ledger.replay([job_id]) == [(JobState.QUEUED, True)]
    assert bench.put(record(idempotency_key="k")) == [job_id]
    assert bench.claim_ids() == [job_id]


def test_edit_of_a_job_edited_meanwhile_is_refused(bench: Bench) -> None:
    [job_id] = bury(bench, record())
    replay_edited(bench, job_id, record(record={"Email": "first@b.example"}))
    bench.settle(bench.claim()[0], DEAD)
    assert replay_edited(bench, job_id, record(record={"Email": "late@b.example"})) == (JobState.DEAD, False)
    assert bench.view(job_id).job["record"] == {"Email": "first@b.example"}
    assert bench.view(job_id).revision == 1
    assert replay_edited(bench, job_id, record(), revision=1) == (JobState.QUEUED, True)


def test_a_replay_whose_answer_was_lost_may_be_repeated_at_any_time(bench: Bench) -> None:
    first, second = bury(bench, record(), record())
    call: Call[Any]
    [call] = bench.ledger.producer_calls.replay([first, second], NOON, "ann", "", {first: edit(record(urgent=True))})
    run = bench.ledger._run
    assert run(call) == [(JobState.QUEUED, True), (JobState.QUEUED, True)]
    before = bench.truth()
    assert run(call) == [(JobState.QUEUED, True), (JobState.QUEUED, True)]
    assert bench.truth() == before
    for claimed in bench.claim():
        bench.settle(claimed, DEAD)
    assert run(call) == [(JobState.DEAD, True), (JobState.DEAD, True)], "it has died again: that is another replay"
    assert bench.view(first).revision == 1


def test_edited_case_number_moves_a_dead_job_into_the_other_lane(bench: Bench) -> None:
    [moved] = bury(bench, case(1))
    head, follower = bench.put(case(2), case(2))
    assert replay_edited(bench, moved, case(2)) == (JobState.WAITING, True)
    for job_id in (head, moved, follower):
        [claimed] = bench.claim()
        assert claimed.id == job_id
        bench.settle(claimed)


def test_an_edited_case_number_frees_the_lane_that_a_parked_job_leaves(bench: Bench) -> None:
    parked, follower = bench.put(case(1), case(1))
    bench.settle(bench.claim()[0], Parked(HOUR_MS, "no_campaign"))
    assert bench.claim() == []
    assert replay_edited(bench, parked, case(2)) == (JobState.QUEUED, True)
    assert bench.claim_ids() == [parked, follower]


def test_a_parked_job_may_move_behind_those_of_a_busy_lane(bench: Bench) -> None:
    bench.put(case(2))
    [head] = bench.claim()
    parked, follower = bench.put(case(1), case(1))
    bench.settle(bench.claim()[0], Parked(HOUR_MS, "no_campaign"))
    assert replay_edited(bench, parked, case(2)) == (JobState.WAITING, True)
    assert bench.claim_ids() == [follower]
    bench.settle(head)
    assert bench.claim_ids() == [parked]


def test_edited_urgency_and_lost_answer_rule_apply(bench: Bench) -> None:
    plain, held, urgent = bury(bench, record(), response(), record())
    replay_edited(bench, plain, record())
    replay_edited(bench, held, response(on_unknown="retry"))
    replay_edited(bench, urgent, record(urgent=True))
    assert bench.claim_ids() == [urgent, plain, held]
    assert [lost.once for lost in _all_lost(bench) if lost.claimed.id == held] == [False]


def _all_lost(bench: Bench) -> Any:
    bench.clock.go(HOUR_MS)
    return bench.ledger.ended_leases()


def test_expired_dead_job_stays_dead_until_its_expiry_is_edited(bench: Bench) -> None:
    one, two = bury(bench, record(expires_at=until(HOUR_MS)), record(expires_at=until(HOUR_MS)))
    bench.clock.go(HOUR_MS)
    assert bench.ledger.replay([one]) == [(JobState.DEAD, False)]
    assert replay_edited(bench, one, record(expires_at=until(HOUR_MS))) == (JobState.DEAD, False)
    assert replay_edited(bench, one, record()) == (JobState.QUEUED, True)
    assert replay_edited(bench, two, record(expires_at=until(2 * HOUR_MS))) == (JobState.QUEUED, True)
    bench.tick(HOUR_MS)
    assert bench.states([one, two]) == ["queued", "expired"]


def test_replayed_job_stays_held_unless_its_edit_leaves_the_hold(bench: Bench) -> None:
    stays, leaves, other = bench.put(record(), record(), record())
    first, *rest = bench.claim()
    bench.settle(first, Held(SCOPE, "unknown_mapping"), hold=mapping_hold(MAPPING))
    for claimed in rest:
        bench.settle(claimed, Held(SCOPE, "unknown_mapping"))
    assert bench.view(stays).held_by == SCOPE
    assert bench.ledger.replay([stays]) == [(JobState.PARKED, False)]
    assert replay_edited(bench, stays, record(record={"Email": "x@b.example"})) == (JobState.PARKED, False)
    assert replay_edited(bench, leaves, record(configuration="right")) == (JobState.QUEUED, True)
    assert bench.claim_ids() == [leaves]
    bench.ledger.resume(SCOPE)
    assert bench.view(stays).held_by is None
    assert bench.ledger.replay([stays, other]) == [(JobState.QUEUED, True)] * 2


def test_a_job_replayed_into_a_held_region_waits_there_and_says_so(bench: Bench) -> None:
    [job_id] = bury(bench, record())
    bench.ledger.hold("", "maintenance", "ops", NOON + HOUR_MS)
    assert bench.ledger.replay([job_id]) == [(JobState.QUEUED, True)]
    assert (bench.view(job_id).reason, bench.view(job_id).until) == ("hold: maintenance", NOON + HOUR_MS)
    assert bench.claim() == []


def test_dead_file_with_edited_labels_is_sent_with_its_content(bench: Bench) -> None:
    [job_id] = bench.put(upload())
    [claimed] = bench.claim()
    bench.settle(claimed, DEAD)
    mended = claimed.job.model_copy(update={"labels": ("again",)})
    assert replay_edited(bench, job_id, mended) == (JobState.WAITING, True)
    assert [one.job.labels for one in bench.claim()] == [("again",)]
    assert bench.ledger.file_sets.content(job_id)


def test_a_followed_file_is_looked_at_now_though_its_end_is_over(bench: Bench) -> None:
    [job_id] = bench.put(upload(expires_at=until(HOUR_MS)))
    [claimed] = bench.claim()
    bench.ledger.mark(claimed)
    bench.settle(claimed, Parked(2 * HOUR_MS, "processing", Phase.PROCESSING))
    bench.clock.go(HOUR_MS)
    assert bench.ledger.replay([job_id]) == [(JobState.QUEUED, True)]
    assert [one.phase for one in bench.claim()] == [Phase.PROCESSING]


@pytest.mark.parametrize("end", [JobState.DELIVERED, JobState.DEAD])
def test_resolving_may_be_repeated_and_records_who_and_why(bench: Bench, end: JobState) -> None:
    first, second = bench.put(case(), case())
    bench.settle(bench.claim()[0], Unknown("answer lost"))
    call: Call[Any] = bench.ledger.producer_calls.resolve([first], end, NOON, "ann@desk", "seen in the portal")
    assert bench.ledger._run(call) == [(end, True)]
    before = bench.truth()
    assert bench.ledger._run(call) == [(end, True)]
    assert bench.truth() == before
    [entry] = [one for one in bench.view(first).timeline() if one["event"] == "settled"]
    assert (entry["by"], entry["why"], entry["as"]) == ("ann@desk", "seen in the portal", end)
    assert bench.claim_ids() == [second]
    if end is JobState.DEAD:
        assert bench.ledger.resolve([first], end) == [(end, False)]
        assert bench.ledger.replay([first]) == [(JobState.WAITING, True)]


def test_operators_hold_ends_by_redis_clock_and_not_in_the_past(bench: Bench) -> None:
    assert not bench.ledger.hold("", "x", "ann", NOON)
    assert not bench.ledger.hold("", "x", "ann", lasts_ms=0)
    assert bench.ledger.holds() == {}
    assert bench.ledger.hold("", "x", "ann", lasts_ms=HOUR_MS)
    assert bench.ledger.holds()[""].until == NOON + HOUR_MS


def test_queued_jobs_show_the_hold_they_will_meet(bench: Bench) -> None:
    mapped, other, needs_key, file_id = bench.put(record(), record(configuration="other"), response(), upload())
    bench.ledger.hold(SCOPE, "mapping is being changed", "ann", NOON + HOUR_MS)
    bench.ledger.hold("credentials:api_key", "new key", "ann")
    bench.ledger.alive("w1", 0, "", {})
    shown = {job_id: (bench.view(job_id).reason, bench.view(job_id).until) for job_id in (mapped, other, needs_key)}
    assert shown == {
        mapped: ("hold: mapping is being changed", NOON + HOUR_MS),
        other: (None, None),
        needs_key: ("hold: new key", None),
    }
    assert bench.view(file_id).reason == "hold: new key"
    bench.ledger.hold("", "all of it", "ann")
    assert bench.view(mapped).reason == "hold: all of it"


def test_parked_job_shows_the_operators_hold_that_replaced_its_own(bench: Bench) -> None:
    [job_id] = bench.put(record())
    bench.settle(bench.claim()[0], Held(SCOPE, "unknown_mapping"), hold=mapping_hold(MAPPING))
    assert bench.view(job_id).reason == "unknown_mapping"
    bench.ledger.hold(SCOPE, "wait for the new mapping", "ann", NOON + HOUR_MS)
    assert (bench.view(job_id).reason, bench.view(job_id).until) == ("wait for the new mapping", NOON + HOUR_MS)


def test_holds_count_those_that_wait_under_them(bench: Bench) -> None:
    bench.put(record(), record(), link(), case(), case(), case())
    bench.ledger.hold(SCOPE, "x", "ann")
    bench.claim()
    assert bench.ledger.kept_by(["", SCOPE, "credentials:oauth"]) == [2, 3, 0]
    assert bench.ledger.kept_by([]) == []


def test_summary_shows_why_and_until_when_each_hold_lasts(bench: Bench) -> None:
    bench.put(record())
    bench.settle(bench.claim()[0], hold=breaker())
    bench.ledger.hold(SCOPE, "maintenance", "ann", NOON + HOUR_MS)
    holds = bench.ledger.summary()["holds_by_scope"]
    assert (holds["region"]["by"], holds["region"]["until"]) == ("gaugepost", None)
    assert holds["region"]["probe_at"] is not None
    assert (holds[SCOPE]["reason"], holds[SCOPE]["by"]) == ("maintenance", "ann")
    assert holds[SCOPE]["until"] == datetime.fromtimestamp((NOON + HOUR_MS) / 1000, UTC).isoformat(
        timespec="milliseconds"
    )
