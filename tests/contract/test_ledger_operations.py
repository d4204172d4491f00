"""Operations: what they collect, change, skip and count, and what a repeated or killed step does."""

from __future__ import annotations

from typing import Any

import pytest

from gaugepost import BacklogFull
from gaugepost.jobs import JobBase
from gaugepost.ledger.job_filter import JobFilter
from gaugepost.ledger.operation_runner import LEASE_MS
from gaugepost.ledger.operations import MOST_OPEN, Action, Operation, OperationState
from gaugepost.ledger.scripts import Call
from gaugepost.states import JobState
from gaugepost.transitions import Dead, Held, Parked, Unknown
from gaugepost.verdict import Verdict
from support.factories import MAPPING, case, record, response
from support.ledger_harness import HOUR_MS, Bench, mapping_hold

DEAD = JobFilter(state=JobState.DEAD)
PARKED = JobFilter(state=JobState.PARKED)
DAY_MS = 24 * HOUR_MS


def bury(bench: Bench, *jobs: JobBase) -> list[str]:
    ids = bench.put(*jobs)
    while claimed := bench.claim():
        for one in claimed:
            bench.settle(one, Dead(Verdict.MISSING_FIELD), verdict=Verdict.MISSING_FIELD)
    return ids


def start(bench: Bench, job_filter: JobFilter = DEAD, action: Action = Action.REPLAY, **more: Any) -> str:
    return bench.ledger.operations.start(action, job_filter, by="ann@desk", reason="mended", **more).id


def show(bench: Bench, operation_id: str) -> Operation:
    found = bench.ledger.operations.show(operation_id)
    assert found is not None
    return found


def run(bench: Bench, worker: str = "w1") -> None:
    bench.ledger.operation_runner.run(worker, seconds=60)


def replays(bench: Bench, job_id: str) -> list[str]:
    return [entry["operation"] for entry in bench.view(job_id).timeline() if entry["event"] == "replayed"]


def test_operation_replays_all_matching_jobs_in_order_of_enqueue(bench: Bench) -> None:
    ids = bury(bench, *(record(source=f"s{n % 3}") for n in range(450)))
    [other] = bury(bench, response())
    operation = start(bench, JobFilter(state=JobState.DEAD, kind="record"))
    run(bench)
    row = show(bench, operation)
    assert (row.state, row.matched, row.done, row.skipped) == (OperationState.FINISHED, 450, 450, {})
    assert [bench.claim_ids(1)[0] for _ in ids] == ids
    assert bench.state(other) == "dead"
    [entry] = [one for one in bench.view(ids[0]).timeline() if one["event"] == "replayed"]
    assert (entry["by"], entry["why"], entry["operation"]) == ("ann@desk", "mended", operation)


@pytest.mark.parametrize(
    "job_filter",
    [JobFilter(), JobFilter(kind="record"), JobFilter(state=JobState.QUEUED)],
    ids=["empty", "no state", "wrong state"],
)
def test_filter_without_a_state_of_the_action_is_refused(bench: Bench, job_filter: JobFilter) -> None:
    with pytest.raises(ValueError, match="expected a filter with a state of dead, parked"):
        start(bench, job_filter)
    assert bench.ledger.operations.list() == []


def test_row_has_the_fields_of_the_contract(bench: Bench) -> None:
    bury(bench, record())
    operation = start(bench, JobFilter(state=JobState.DEAD, source=None, fields=("a",)), rate=5, limit=7)
    row = show(bench, operation).to_dict()
    assert row.pop("started_at").startswith("20")
    what = {
        "id": operation,
        "region": "eu",
        "action": "replay",
        "filter": {"state": "dead", "fields": ["a"]},
        "set": {},
    }
    who = {"reason": "mended", "by": "ann@desk", "state": "running", "rate": 5, "limit": 7, "ended_at": None}
    assert row == what | who | {"matched": 0, "done": 0, "skipped": {}}


def test_lane_keeps_its_order_through_an_operation(bench: Bench) -> None:
    ids = bury(bench, case(1), case(1), case(1))
    start(bench)
    run(bench)
    sent = []
    while claimed := bench.claim():
        assert len(claimed) == 1
        sent.append(claimed[0].id)
        bench.settle(claimed[0])
    assert sent == ids


def test_limit_takes_the_oldest_jobs(bench: Bench) -> None:
    ids = bury(bench, *(record() for _ in range(5)))
    operation = start(bench, limit=2)
    run(bench)
    assert bench.states(ids) == ["queued", "queued", "dead", "dead", "dead"]
    assert show(bench, operation).matched == 2


def test_rate_follows_the_clock_of_redis(bench: Bench) -> None:
    ids = bury(bench, *(record() for _ in range(30)))
    operation = start(bench, rate=10)
    done = []
    for _ in range(4):
        run(bench)
        done.append(show(bench, operation).done)
        bench.clock.go(1000)
    assert done == [10, 20, 30, 30]
    assert set(bench.states(ids)) == {"queued"}


def test_skipped_jobs_are_counted_by_reason_and_sums_add_up(bench: Bench) -> None:
    held, parked, changed, gone = bench.put(*(record() for _ in range(4)))
    first, *rest = bench.claim()
    bench.settle(first, Held(f"configuration:{MAPPING}", "unknown_mapping"), hold=mapping_hold(MAPPING))
    for claimed in rest:
        bench.settle(claimed, Parked(HOUR_MS, "no_campaign"))
    operation = start(bench, PARKED, rate=1)
    run(bench)  # collects all of them, and takes the first
    bench.ledger.cancel([changed])
    bench.client.zrem(bench.ledger.keys["parked"], gone)
    job = bench.client.hgetall(bench.ledger.keys.of("job:", gone))
    bench.client.delete(bench.ledger.keys.of("job:", gone))
    for _ in range(5):
        bench.clock.go(1000)
        run(bench)
    row = show(bench, operation)
    why = {f"a hold stops it: configuration:{MAPPING}": 1, "it is cancelled": 1, "no such job": 1}
    assert (row.matched, row.done, row.skipped) == (4, 1, why)
    assert bench.states([held, parked]) == ["parked", "queued"]
    bench.client.hset(bench.ledger.keys.of("job:", gone), mapping=job)
    bench.client.zadd(bench.ledger.keys["parked"], {gone: 1})


def test_later_operation_skips_the_jobs_of_an_earlier_one(bench: Bench) -> None:
    ids = bury(bench, *(record() for _ in range(6)))
    first = start(bench, rate=2)
    second = start(bench)
    for _ in range(4):
        run(bench)
        bench.clock.go(1000)
    one, two = show(bench, first), show(bench, second)
    assert (one.matched, one.done, one.skipped) == (6, 6, {})
    assert (two.state, two.done, sum(two.skipped.values())) == (OperationState.FINISHED, 0, two.matched)
    assert two.skipped[f"operation {first} has it"] == 4
    assert [replays(bench, job_id) for job_id in ids] == [[first]] * 6


def test_paused_operation_changes_nothing_until_resumed(bench: Bench) -> None:
    ids = bury(bench, *(record() for _ in range(20)))
    operation = start(bench, rate=5)
    run(bench)
    paused = bench.ledger.operations.pause(operation)
    assert paused is not None
    assert (paused.state, paused.done) == (OperationState.PAUSED, 5)
    bench.clock.go(HOUR_MS)
    run(bench)
    assert show(bench, operation).done == 5
    bench.ledger.operations.resume(operation)
    for _ in range(3):
        run(bench)
        bench.clock.go(1000)
    assert show(bench, operation).state is OperationState.FINISHED
    assert set(bench.states(ids)) == {"queued"}


def test_aborted_operation_leaves_the_rest_as_it_is(bench: Bench) -> None:
    ids = bury(bench, *(record() for _ in range(4)))
    operation = start(bench, rate=1)
    run(bench)
    aborted = bench.ledger.operations.abort(operation)
    assert aborted is not None
    assert aborted.state is OperationState.ABORTED
    assert aborted.ended_at is not None
    for control in ("pause", "resume", "abort"):
        assert getattr(bench.ledger.operations, control)(operation) == aborted
    bench.clock.go(HOUR_MS)
    run(bench)
    assert bench.states(ids) == ["queued", "dead", "dead", "dead"]
    assert bench.client.exists(bench.ledger.keys.of("todo:", operation)) == 0


def test_unknown_operation_is_none(bench: Bench) -> None:
    operations = bench.ledger.operations
    assert [operations.show("op-1"), operations.pause("op-1"), operations.abort("op-1")] == [None] * 3


def test_operation_cancels_jobs_of_every_list(bench: Bench) -> None:
    queued = bench.put(*(record(source=f"s{n % 3}") for n in range(230)))
    urgent = bench.put(record(urgent=True))
    operation = start(bench, JobFilter(state=JobState.QUEUED), Action.CANCEL)
    run(bench)
    row = show(bench, operation)
    assert (row.matched, row.done) == (231, 231)
    assert set(bench.states(queued + urgent)) == {"cancelled"}


@pytest.mark.parametrize("to", [JobState.DELIVERED, JobState.DEAD])
def test_operation_settles_unknown_jobs(bench: Bench, to: JobState) -> None:
    ids = bench.put(*(response() for _ in range(3)))
    for claimed in bench.claim():
        bench.settle(claimed, Unknown("answer lost"))
    operation = start(bench, JobFilter(state=JobState.UNKNOWN), Action.SETTLE, to=to)
    run(bench)
    assert set(bench.states(ids)) == {to}
    row = show(bench, operation)
    assert (row.done, row.to_dict()["set"]) == (3, {"as": to})


def test_pages_over_jobs_of_one_time_omit_none_that_stays(bench: Bench) -> None:
    """All jobs die in the same ms, and some leave the list between two pages."""
    ids = bury(bench, *(record() for _ in range(700)))
    listing = bench.ledger._listing
    found, place = listing.page("dead", None, 200)
    bench.ledger.replay(found[:150] + ids[-10:])
    while place is not None:
        some, place = listing.page("dead", place, 200)
        assert not set(some) & set(found)
        found += some
    assert set(bench.states(found)) <= {"dead", "queued"}
    assert {job_id for job_id in ids if bench.state(job_id) == "dead"} <= set(found)


def test_one_worker_at_a_time_carries_out_an_operation(bench: Bench) -> None:
    bury(bench, record(), record())
    operation = start(bench)
    call = bench.ledger._run

    def take(worker: str) -> int:
        return int(call(Call("operation_take", [bench.ledger.keys.prefix], [worker, LEASE_MS], len)))

    assert [take("w1"), take("w2"), take("w1")] == [1, 0, 1]
    bench.clock.go(LEASE_MS)
    assert take("w2") == 1, "the lease of a killed worker ends"
    bench.clock.step(-DAY_MS)
    assert take("w1") == 1, "a clock that stepped back keeps no lease"
    run(bench)
    assert show(bench, operation).done == 2


def test_repeated_page_counts_no_job_twice(bench: Bench) -> None:
    ids = bury(bench, record(), record())
    operation = start(bench)
    args: list[Any] = [operation, "", "next", 1, ids[0], 2, ids[1]]
    collect = Call("operation_collect", [bench.ledger.keys.prefix], args, int)
    assert [bench.ledger._run(collect), bench.ledger._run(collect)] == [1, 0]
    assert show(bench, operation).matched == 2


def test_too_many_open_operations_are_refused(bench: Bench) -> None:
    for _ in range(MOST_OPEN):
        start(bench)
    with pytest.raises(BacklogFull, match="50 operations have not ended"):
        start(bench)
    assert len(bench.ledger.operations.list()) == MOST_OPEN


def test_operations_are_listed_newest_first_and_swept_after_100_days(bench: Bench) -> None:
    first, second = start(bench), start(bench)
    assert [one.id for one in bench.ledger.operations.list()] == [second, first]
    run(bench)
    bench.clock.go(100 * DAY_MS + HOUR_MS)
    bench.ledger.sweep()
    assert bench.ledger.operations.list() == []
    assert bench.client.exists(bench.ledger.keys.of("operation:", first)) == 0


def test_operation_of_a_newer_version_is_left_alone(bench: Bench) -> None:
    bury(bench, record())
    operation = start(bench)
    bench.client.hset(bench.ledger.keys.of("operation:", operation), "filter", '{"state": "dead", "newer": 1}')
    run(bench)
    assert show(bench, operation).matched == 0
    assert show(bench, operation).state is OperationState.RUNNING
