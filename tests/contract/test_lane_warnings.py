"""Deliver a status change that happened before an already delivered one, with a warning."""

from __future__ import annotations

from gaugepost.transitions import Dead, Delivered
from gaugepost.verdict import Verdict
from support.factories import case
from support.ledger_harness import Bench


def at(hour: int) -> str:
    return f"2026-11-20 {hour:02}:00:00"


def deliver(
    bench: Bench, hour: int | None, number: int = 53499, own: tuple[str, ...] = (), worker: str = "w1"
) -> list[str]:
    """Enqueue a change and deliver it with these warnings; return the warnings on its record."""
    [job_id] = bench.put(case(number, **({} if hour is None else {"happened_at": at(hour)})))
    [claimed] = bench.claim(worker=worker)
    assert claimed.id == job_id
    assert bench.settle(claimed, Delivered({}, own))
    assert bench.state(job_id) == "delivered"
    return list(bench.view(job_id).warnings)


def warns(warnings: list[str]) -> bool:
    return any("happened_at" in warning for warning in warnings)


def test_change_older_than_a_delivered_one_of_its_case_gets_a_warning(bench: Bench) -> None:
    assert not warns(deliver(bench, 12))
    assert warns(deliver(bench, 11))


def test_changes_in_their_own_order_or_at_one_moment_have_no_warning(bench: Bench) -> None:
    assert [warns(deliver(bench, hour)) for hour in (9, 10, 10, 11)] == [False, False, False, False]


def test_the_newest_delivered_one_counts_and_not_the_one_just_before(bench: Bench) -> None:
    assert [warns(deliver(bench, hour)) for hour in (12, 10, 11, 13, 12)] == [False, True, True, False, True]


def test_a_change_without_its_time_has_no_warning_and_hides_nothing(bench: Bench) -> None:
    assert [warns(deliver(bench, hour)) for hour in (12, None, 11)] == [False, False, True]


def test_each_case_has_its_own_times(bench: Bench) -> None:
    deliver(bench, 12, number=1)
    assert not warns(deliver(bench, 11, number=2))
    assert not warns(deliver(bench, 11, number=12))
    assert warns(deliver(bench, 11, number=1))


def test_change_that_was_never_delivered_does_not_count(bench: Bench) -> None:
    bench.put(case(happened_at=at(12)))
    bench.settle(bench.claim()[0], Dead(Verdict.INVALID_VALUE))
    assert not warns(deliver(bench, 11))


def test_lane_warning_keeps_the_warnings_of_the_answer(bench: Bench) -> None:
    deliver(bench, 12)
    warnings = deliver(bench, 11, own=("the note may stand twice",))
    assert warnings[0] == "the note may stand twice"
    assert warns(warnings[1:])


def test_changes_that_wait_in_one_lane_are_compared_too(bench: Bench) -> None:
    ids = bench.put(*(case(happened_at=at(hour)) for hour in (12, 11, 13)))
    for _ in ids:
        [claimed] = bench.claim()
        bench.settle(claimed)
    assert [warns(list(bench.view(job_id).warnings)) for job_id in ids] == [False, True, False]


def test_it_outlives_the_workers_and_the_scripts_that_redis_had_loaded(bench: Bench) -> None:
    deliver(bench, 12)
    bench.client.script_flush()
    assert warns(deliver(Bench(bench.client), 11, worker="w2"))
