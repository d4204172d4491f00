"""Jobs with `deliver_at`: parked until then, released in order, in their place in lanes, cancelled before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from gaugepost.ledger import Edit, Settlement
from gaugepost.ledger.entry import Entry
from gaugepost.states import JobState
from gaugepost.transitions import Dead, Decision, Delivered, Requeued
from gaugepost.verdict import Verdict
from support.factories import case, file_set, record, upload
from support.ledger_harness import NOON, SLOT_MS, Bench

if TYPE_CHECKING:
    from gaugepost.jobs import JobBase

HOUR = 3_600_000
WEEK = 7 * 24 * HOUR


def at(ms: int) -> datetime:
    """Return the time `ms` after the start of the test."""
    return datetime.fromtimestamp(NOON / 1000, UTC) + timedelta(milliseconds=ms)


def later(job: JobBase, ms: int = HOUR) -> JobBase:
    return job.model_copy(update={"deliver_at": at(ms)})


def release_all(bench: Bench) -> int:
    """Tick until no job is due; return the number of released jobs."""
    released = 0
    while number := bench.tick():
        released += number
    return released


def test_scheduled_job_is_parked_until_its_time(bench: Bench) -> None:
    [job] = bench.put(later(record()))
    view = bench.view(job)
    assert (view.state, view.reason, view.until) == ("parked", "scheduled", NOON + HOUR)
    assert datetime.fromisoformat(view.to_dict()["deliver_at"]) == at(HOUR)
    bench.tick(HOUR - 1)
    assert bench.claim() == []
    bench.tick(1000)
    assert bench.claim_ids() == [job]


def test_time_that_is_past_means_now(bench: Bench) -> None:
    [job] = bench.put(later(record(), -1))
    assert bench.claim_ids() == [job]


def test_jobs_leave_in_order_of_time_then_of_enqueue(bench: Bench) -> None:
    times = [HOUR + 2, HOUR, HOUR + 1, HOUR, HOUR + 2, HOUR]
    ids = [bench.put(later(record(), ms))[0] for ms in times]
    bench.tick(HOUR + 10)
    by_time = [job_id for _, job_id in sorted(zip(times, ids, strict=True), key=lambda pair: pair[0])]
    assert bench.claim_ids() == by_time


def test_thousands_due_at_once_leave_paced_and_in_order(bench: Bench) -> None:
    ids = [job_id for _ in range(15) for job_id in bench.put(*[later(record())] * 200)]
    bench.tick(HOUR)
    assert len(bench.claim(10_000)) < len(ids)  # paced: not all in the first tick
    bench.clock.go(1000)
    first = bench.ledger.promote()
    assert 0 < first < len(ids)


def test_job_of_a_new_configuration_keeps_the_order_of_times(bench: Bench) -> None:
    [last] = bench.put(later(record(), HOUR + 1))
    [middle] = bench.put(later(record(), HOUR))
    [first] = bench.put(record())
    [tried] = bench.claim(1)
    assert tried.id == first
    bench.tick(HOUR + 10)
    behind = Decision(Requeued(first), counted=False)
    bench.ledger.settle([Settlement(one, behind) for one in bench.claim()])
    bench.ledger.settle([Settlement(tried, Decision(Delivered()), warms=True)])
    assert bench.claim_ids() == [middle, last]


def test_released_job_is_as_old_as_its_release(bench: Bench) -> None:
    [job] = bench.put(later(record()))
    bench.tick(HOUR)
    assert bench.view(job).enqueued_at == NOON
    assert bench.claim()[0].enqueued_at == NOON + HOUR


def test_sources_take_turns_with_released_jobs(bench: Bench) -> None:
    bulk = bench.put(*[later(record(source="survey"))] * 50)
    bench.tick(HOUR)
    [other] = bench.put(record(source="crm"))
    assert bench.claim_ids(2) == [bulk[0], other]


def test_urgent_scheduled_job_leaves_first(bench: Bench) -> None:
    [plain] = bench.put(later(record()))
    [urgent] = bench.put(later(record(urgent=True)))
    bench.tick(HOUR)
    assert bench.claim_ids() == [urgent, plain]


# Lanes


def test_later_changes_of_a_case_wait_for_the_scheduled_one(bench: Bench) -> None:
    [first] = bench.put(later(case()))
    [second] = bench.put(case())
    assert bench.claim() == []
    bench.tick(HOUR)
    [claimed] = bench.claim()
    assert claimed.id == first
    bench.settle(claimed)
    assert bench.claim_ids() == [second]


def test_scheduled_change_waits_for_earlier_ones_of_its_case(bench: Bench) -> None:
    [first] = bench.put(case())
    [second] = bench.put(later(case()))
    [third] = bench.put(case())
    [claimed] = bench.claim()
    bench.tick(HOUR)
    assert bench.states([first, second, third]) == ["sending", "waiting", "waiting"]
    bench.settle(claimed)
    assert bench.claim_ids() == [second]


def test_scheduled_change_keeps_its_place_when_earlier_ones_end(bench: Bench) -> None:
    bench.put(case())
    [second] = bench.put(later(case()))
    [third] = bench.put(case())
    bench.settle(bench.claim()[0])
    assert bench.states([second, third]) == ["parked", "waiting"]
    bench.tick(HOUR)
    assert bench.claim_ids() == [second]


def test_cancelled_schedule_frees_its_case(bench: Bench) -> None:
    [first] = bench.put(later(case()))
    [second] = bench.put(case())
    assert bench.ledger.cancel([first]) == [(JobState.CANCELLED, True)]
    assert bench.claim_ids() == [second]


def test_expired_schedule_frees_its_case(bench: Bench) -> None:
    [first] = bench.put(later(case(expires_at=at(HOUR + 1)), HOUR))
    [second] = bench.put(case())
    bench.clock.step(2 * HOUR)
    bench.ledger.promote()
    assert bench.state(first) == "expired"
    assert bench.claim_ids() == [second]


def test_file_takes_its_slot_after_its_time(bench: Bench) -> None:
    [scheduled] = bench.put(later(upload("march.csv")))
    [now] = bench.put(upload("april.csv"))
    [claimed] = bench.claim()
    assert claimed.id == now
    assert bench.ledger.mark(claimed) == (1, 0)
    bench.settle(claimed)
    bench.tick(HOUR)
    assert bench.claim_ids() == [scheduled]


def test_parts_of_a_scheduled_set_wait_for_its_time(bench: Bench) -> None:
    files, entries = file_set(2)
    entries = [Entry(entry.id, later(entry.job)) for entry in entries]  # type: ignore[arg-type]
    for entry in entries:
        bench.ledger.file_sets.stage(entry.id, b"Email\na@b.example\n")
    bench.ledger.file_sets.enqueue(files, entries, again=False, first=False)
    bench.tick(SLOT_MS)
    assert bench.claim() == []
    bench.tick(HOUR)
    assert bench.claim_ids() == [entries[0].id]


# Operators


def test_cancel_takes_back_a_scheduled_job(bench: Bench) -> None:
    [job] = bench.put(later(record()))
    assert bench.ledger.cancel([job]) == [(JobState.CANCELLED, True)]
    bench.tick(2 * HOUR)
    assert bench.claim() == []


def test_key_finds_the_job_to_cancel(bench: Bench) -> None:
    [job] = bench.put(later(record(idempotency_key="order-7")))
    assert bench.ledger.keyed("order-7") == job
    assert bench.ledger.keyed("order-8") is None


def test_idempotency_key_outlives_the_schedule(bench: Bench) -> None:
    bench.put(later(record(idempotency_key="order-7"), 4 * WEEK))
    [key] = bench.client.keys("*idem:*")
    assert bench.client.pttl(key) > 4 * WEEK + WEEK - 60_000


def test_replay_leaves_scheduled_jobs_alone(bench: Bench) -> None:
    [job] = bench.put(later(record()))
    assert bench.ledger.replay([job]) == [(JobState.PARKED, False)]
    assert bench.view(job).until == NOON + HOUR


def test_replay_without_deliver_at_sends_the_job_now(bench: Bench) -> None:
    [job] = bench.put(later(record()))
    edit = Edit(record(), 0, ("deliver_at",))
    assert bench.ledger.replay([job], edits={job: edit}) == [(JobState.QUEUED, True)]
    assert bench.claim_ids() == [job]
    bench.tick(2 * HOUR)
    assert bench.claim() == []


def test_replay_without_deliver_at_keeps_the_order_of_the_case(bench: Bench) -> None:
    [first] = bench.put(case())
    [second] = bench.put(later(case()))
    assert bench.ledger.replay([second], edits={second: Edit(case(), 0, ("deliver_at",))})[0][1]
    assert bench.claim_ids() == [first]
    assert bench.state(second) == "waiting"


def test_replayed_job_goes_before_a_scheduled_one_of_its_case(bench: Bench) -> None:
    [first] = bench.put(case())
    [second] = bench.put(later(case()))
    bench.settle(bench.claim()[0], Dead(Verdict.INVALID_VALUE))
    assert bench.ledger.replay([first]) == [(JobState.QUEUED, True)]
    bench.tick(HOUR)
    assert bench.state(second) == "waiting"
    [claimed] = bench.claim()
    bench.settle(claimed)
    assert (claimed.id, bench.claim_ids()) == (first, [second])


def test_replayed_job_waits_for_an_earlier_scheduled_one(bench: Bench) -> None:
    [first] = bench.put(case())
    [second] = bench.put(case())
    bench.settle(bench.claim()[0])
    bench.settle(bench.claim()[0], Dead(Verdict.INVALID_VALUE))
    [third] = bench.put(later(case()))
    assert bench.ledger.replay([second]) == [(JobState.QUEUED, True)]
    assert bench.states([first, third]) == ["delivered", "parked"]


def test_scheduled_jobs_are_counted_apart(bench: Bench) -> None:
    bench.put(later(record()), record())
    summary = bench.ledger.summary()
    assert (summary["scheduled"], summary["parked"], summary["parked_by_reason"]) == (1, 1, {"scheduled": 1})


def test_scheduled_jobs_are_listed(bench: Bench) -> None:
    [job] = bench.put(later(record()))
    assert list(bench.ledger.ids(JobState.PARKED)) == [job]


@pytest.mark.parametrize("step", [-HOUR, 10 * HOUR])
def test_clock_that_steps_loses_no_scheduled_job(bench: Bench, step: int) -> None:
    [job] = bench.put(later(record()))
    bench.clock.step(step)
    bench.ledger.promote()
    bench.clock.set(NOON + HOUR)
    release_all(bench)
    assert bench.claim_ids() == [job]


def test_repeated_enqueue_of_a_scheduled_job_changes_nothing(bench: Bench) -> None:
    entry = Entry.of(later(record()))
    for _ in range(2):
        [accepted] = bench.ledger.enqueue([entry])
        assert (accepted.id, accepted.state, accepted.duplicate) == (entry.id, "parked", False)
