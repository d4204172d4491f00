"""Operations that edit their jobs: the edited jobs, what Redis has of the edits, and who leaves them alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.fernet import Fernet

from gaugepost.jobs import JobBase
from gaugepost.ledger.edits import Change, Edits
from gaugepost.ledger.erasing import Person
from gaugepost.ledger.job_filter import JobFilter
from gaugepost.ledger.operations import Action, Operation, OperationState
from gaugepost.states import JobState
from gaugepost.transitions import Dead
from gaugepost.verdict import Verdict
from support.all_values import all_values, marks_in
from support.factories import case, link, record
from support.ledger_harness import Bench

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis

DEAD = JobFilter(state=JobState.DEAD)
MAIL = "joe.doe@example.com"
TO_JOE = Edits((Change("record", "Email", MAIL), Change("labels", None, "a,b"), Change("source", None, None)))


@pytest.fixture(params=["plain", "encrypted"])
def both(request: pytest.FixtureRequest, client: redis.Redis) -> Iterator[Bench]:
    """Make a bench without and with DATA_KEY. At the end, check that the store is consistent."""
    key = {"data_key": Fernet.generate_key().decode()} if request.param == "encrypted" else {}
    made = Bench(client, **key)
    yield made
    assert made.truth().faults == []


def bury(bench: Bench, *jobs: JobBase) -> list[str]:
    ids = bench.put(*jobs)
    while claimed := bench.claim():
        for one in claimed:
            bench.settle(one, Dead(Verdict.MISSING_FIELD), verdict=Verdict.MISSING_FIELD)
    return ids


def start(bench: Bench, edits: Edits = TO_JOE, **more: Any) -> str:
    return bench.ledger.operations.start(Action.REPLAY, DEAD, by="ann", edits=edits, **more).id


def run(bench: Bench) -> None:
    bench.ledger.operation_runner.run("w1", seconds=60)


def show(bench: Bench, operation_id: str) -> Operation:
    found = bench.ledger.operations.show(operation_id)
    assert found is not None
    return found


def test_operation_stores_the_same_job_as_a_replay_by_id(both: Bench) -> None:
    by_id, by_operation = bury(both, record(), record())
    both.ledger.replay([by_id], "ann", "", {by_id: TO_JOE.of(both.view(by_id))})
    start(both)
    run(both)
    first, second = both.view(by_id), both.view(by_operation)
    assert (second.job | {"id": ""}, second.revision) == (first.job | {"id": ""}, first.revision)
    entries = [next(one for one in view.timeline() if one["event"] == "replayed") for view in (first, second)]
    assert [entry["edited"] for entry in entries] == [["labels", "record.Email", "source"]] * 2
    found = both.ledger.find(Person(MAIL).query(), 10)
    assert {view.id for view in found} == {by_id, by_operation}


def test_edit_of_the_lane_keeps_the_order_of_cases(both: Bench) -> None:
    ids = bury(both, case(1), case(2), case(3))
    start(both, Edits((Change("number_customergauge", None, "7"),)))
    run(both)
    sent = []
    while claimed := both.claim():
        assert len(claimed) == 1
        sent.append(claimed[0].id)
        both.settle(claimed[0])
    assert sent == ids


def test_job_that_became_invalid_is_skipped_and_others_go_on(both: Bench) -> None:
    fine, wrong = bury(both, record(record={"Email": "a@b.example", "Name": "x"}), link())
    operation = start(both, Edits((Change("record", "Email", None),)))
    run(both)
    row = show(both, operation)
    assert (row.matched, row.done, row.skipped) == (2, 1, {"the changes would make it invalid": 1})
    assert both.states([fine, wrong]) == ["queued", "dead"]


def test_edits_follow_the_rate_over_many_jobs(both: Bench) -> None:
    ids = bury(both, *(record() for _ in range(450)))
    paced = start(both, rate=100)
    run(both)
    assert show(both, paced).done == 100
    both.ledger.operations.abort(paced)
    start(both)
    run(both)
    assert set(both.states(ids)) == {"queued"}


@pytest.mark.parametrize("end", ["finish", "abort"])
def test_values_are_shown_nowhere_and_gone_at_the_end(both: Bench, end: str) -> None:
    bury(both, case(1))
    operation = start(both, Edits((Change("note", None, f"call {MAIL}"),)), rate=1)
    row = show(both, operation).to_dict()
    assert row["set"] == {"edited": ["note"]}
    assert MAIL not in json.dumps(row) + repr(show(both, operation))
    if both.ledger._cipher.encrypts:
        assert marks_in(all_values(both.client), [MAIL]) == []
    if end == "abort":
        both.ledger.operations.abort(operation)
        assert marks_in(all_values(both.client), [MAIL]) == []
    run(both)
    assert show(both, operation).has_ended
    assert both.client.hget(both.ledger.keys.of("operation:", operation), "edits") is None
    assert show(both, operation).to_dict()["set"] == {"edited": ["note"]}


def test_worker_without_the_key_leaves_the_operation_to_others(client: redis.Redis) -> None:
    keyed, bare = Bench(client, data_key=Fernet.generate_key().decode()), Bench(client)
    [job] = bury(keyed, record())
    operation = start(keyed)
    run(bare)
    assert keyed.state(job) == "dead"
    assert show(bare, operation).state is OperationState.RUNNING
    run(keyed)
    assert keyed.view(job).job["record"]["Email"] == MAIL


def test_stored_action_is_one_that_older_workers_leave_alone(bench: Bench) -> None:
    operation = start(bench)
    stored = bench.client.hget(bench.ledger.keys.of("operation:", operation), "action")
    assert stored is not None
    assert stored.decode() not in {"replay", "cancel", "settle"}
    assert show(bench, operation).action == "replay"


def test_erasing_a_person_aborts_operations_that_would_write_the_address(both: Bench) -> None:
    [job] = bury(both, case(1))
    other = start(both, Edits((Change("note", None, "nobody"),)))
    operation = start(both, Edits((Change("note", None, f"call {MAIL.upper()}"),)))
    receipt = both.ledger.erasure.erase(Person(MAIL), both.clock.ms)
    assert receipt.operations == (operation,)
    assert (show(both, operation).state, show(both, other).state) == (OperationState.ABORTED, OperationState.RUNNING)
    run(both)
    assert both.view(job).job["note"] == "nobody"
    assert marks_in(all_values(both.client), [MAIL]) == []


def test_edits_are_for_replays_only(bench: Bench) -> None:
    with pytest.raises(ValueError, match="expected no edits"):
        bench.ledger.operations.start(Action.CANCEL, JobFilter(state=JobState.QUEUED), by="ann", edits=TO_JOE)


@pytest.mark.parametrize("way", ["erase", "abort"])
def test_edits_that_an_older_version_left_are_deleted(both: Bench, way: str) -> None:
    operation = start(both)
    row = both.ledger.keys.of("operation:", operation)
    both.client.hset(row, mapping={"state": "aborted", "ended": both.clock.ms})  # as a version without edits ends it
    both.client.zrem(both.ledger.keys["open_operations"], operation)
    if way == "erase":
        assert both.ledger.erasure.erase(Person("jane@example.com"), both.clock.ms).operations == ()
    else:
        both.ledger.operations.abort(operation)
    assert both.client.hget(row, "edits") is None
    assert show(both, operation).state is OperationState.ABORTED
