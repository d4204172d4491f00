"""Operations on the jobs with a reference: which jobs they find, and what Redis has of the value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from cryptography.fernet import Fernet

from gaugepost.ledger.erasing import Person
from gaugepost.ledger.indexing import index_older_jobs
from gaugepost.ledger.job_filter import JobFilter
from gaugepost.ledger.operation_runner import LEASE_MS
from gaugepost.ledger.operations import Action, Operation, OperationState
from gaugepost.ledger.references import hash_values
from gaugepost.states import JobState
from gaugepost.transitions import Parked
from support.all_values import all_values, marks_in
from support.factories import case, record
from support.ledger_harness import HOUR_MS, Bench

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis

MAIL = "joe.doe@example.com"


@pytest.fixture(params=["plain", "encrypted"])
def both(request: pytest.FixtureRequest, client: redis.Redis) -> Iterator[Bench]:
    """Make a bench without and with DATA_KEY. At the end, check that the store is consistent."""
    key = {"data_key": Fernet.generate_key().decode()} if request.param == "encrypted" else {}
    made = Bench(client, **key)
    yield made
    assert made.truth().faults == []


def cancel(bench: Bench, *references: tuple[str, str], **more: Any) -> Operation:
    """Cancel all jobs with these references that were not sent; return the ended operation."""
    return run(bench, start(bench, *references, **more))


def start(bench: Bench, *references: tuple[str, str], **more: Any) -> str:
    job_filter = JobFilter(references=hash_values(references, bench.ledger.producer_calls.cipher), **more)
    return bench.ledger.operations.start(Action.CANCEL, job_filter, by="ann").id


def run(bench: Bench, operation_id: str) -> Operation:
    """Do what a worker does; return the operation."""
    bench.ledger.operation_runner.run("w1", seconds=60)
    return found(bench, operation_id)


def found(bench: Bench, operation_id: str) -> Operation:
    row = bench.ledger.operations.show(operation_id)
    assert row is not None
    return row


def test_all_unsent_jobs_with_a_label_are_cancelled(both: Bench) -> None:
    labelled = both.put(*(record(labels=("spring", "x")) for _ in range(430)))
    [other] = both.put(record(labels=("x",)))
    first, second, *_ = both.claim(3)
    both.settle(first)
    both.settle(second, Parked(HOUR_MS, "no_campaign"))
    row = cancel(both, ("label", "spring"))
    sending = 1
    assert (row.matched, row.done, row.skipped) == (430 - 1 - sending, 430 - 1 - sending, {})
    assert both.states(labelled).count("cancelled") == 428
    assert both.state(second.id) == "cancelled"
    assert both.state(other) == "queued"


def test_several_references_and_a_state_must_all_match(both: Bench) -> None:
    [mine] = both.put(record(labels=("a", "b"), source="crm"))
    others = both.put(record(labels=("a",), source="crm"), record(labels=("b",)), record(labels=("a", "b"), source="x"))
    row = cancel(both, ("label", "a"), ("label", "b"), state=JobState.QUEUED, source="crm")
    assert row.done == 1
    assert both.state(mine) == "cancelled"
    assert set(both.states(others)) == {"queued"}


def test_case_key_and_address_are_found_without_their_values(both: Bench) -> None:
    jobs = (case(7), record(idempotency_key="order-991"), record(record={"Email": "Joe.Doe@Example.com"}))
    ids = both.put(*jobs, record())
    for reference in (("case", "7"), ("key", "order-991"), ("email", MAIL)):
        row = cancel(both, reference)
        assert row.done == 1
        assert row.to_dict()["filter"] == {"by": [reference[0]]}
        stored = both.client.hgetall(both.ledger.keys.of("operation:", row.id))
        assert marks_in(b" ".join(stored.values()), [MAIL, "order-991"]) == []
    assert both.states(ids) == ["cancelled"] * 3 + ["queued"]


def test_key_that_was_rotated_still_finds_the_jobs(client: redis.Redis) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    [job] = Bench(client, data_key=old).put(record(record={"Email": MAIL}))
    row = cancel(Bench(client, data_key=f"{new},{old}"), ("email", MAIL))
    assert (row.done, Bench(client, data_key=old).state(job)) == (1, "cancelled")
    assert marks_in(all_values(client), [MAIL]) == []


def test_times_are_those_of_the_enqueue(both: Bench) -> None:
    early = both.put(record(labels=("a",)))
    both.clock.go(HOUR_MS)
    since = both.clock.ms
    late = both.put(record(labels=("a",)))
    assert cancel(both, ("label", "a"), since=since).done == 1
    assert both.states(early + late) == ["queued", "cancelled"]


def test_jobs_that_arrive_after_the_first_page_stop_no_page(both: Bench) -> None:
    ids = both.put(*(record(labels=("spring",)) for _ in range(430)))
    started = start(both, ("label", "spring"))
    runner, calls = both.ledger.operation_runner, both.ledger.producer_calls
    [(operation, cursor)] = runner._take("w1", LEASE_MS)
    assert runner._step(operation, cursor)
    late = both.put(*(record(labels=("spring",)) for _ in range(3)))
    both.client.delete("gaugepost:{eu}:arrivals")  # as if they arrived after this page's arrivals were indexed
    row = run(both, started)
    assert (row.matched, row.done, row.has_ended) == (430, 430, True)
    assert (set(both.states(ids)), set(both.states(late))) == ({"cancelled"}, {"queued"})
    index_older_jobs(calls.keys, calls.cipher, both.ledger._run)


def test_worker_without_the_key_leaves_collecting_to_others(client: redis.Redis) -> None:
    keyed, bare = Bench(client, data_key=Fernet.generate_key().decode()), Bench(client)
    ids = keyed.put(record(labels=("spring",)), record(labels=("spring",)))
    started = start(keyed, ("label", "spring"))
    row = run(bare, started)
    assert (row.is_collecting, row.has_ended) == (True, False)
    row = run(keyed, started)
    assert (row.done, row.has_ended, keyed.states(ids)) == (2, True, ["cancelled"] * 2)


@pytest.mark.parametrize("end", ["finish", "abort"])
def test_hashes_are_gone_from_the_row_at_the_end(both: Bench, end: str) -> None:
    both.put(record(record={"Email": MAIL}, labels=("a",)))
    started = start(both, ("email", MAIL), ("label", "a"), source="none/é")
    hashes = found(both, started).hashes
    assert len(hashes) == 2 * len(both.ledger.producer_calls.cipher.references("email", MAIL))
    row = both.ledger.operations.abort(started) if end == "abort" else run(both, started)
    assert row is not None
    assert (row.has_ended, row.hashes) == (True, frozenset())
    assert row.to_dict()["filter"] == {"source": "none/é", "by": ["email", "label"]}
    stored = both.client.hgetall(both.ledger.keys.of("operation:", started))
    assert marks_in(b" ".join(stored.values()), sorted(hashes)) == []


@pytest.mark.parametrize("reference", [("email", MAIL), ("key", MAIL), ("label", MAIL)], ids="-".join)
def test_erasing_a_person_aborts_operations_that_look_for_the_address(both: Bench, reference: tuple[str, str]) -> None:
    about, other = start(both, ("label", "a"), reference), start(both, ("label", "a"))
    both.ledger.operations.pause(about)
    receipt = both.ledger.erasure.erase(Person(MAIL.upper() if reference[0] == "email" else MAIL), both.clock.ms)
    assert receipt.operations == (about,)
    assert (found(both, about).state, found(both, about).hashes) == (OperationState.ABORTED, frozenset())
    assert found(both, other).state is OperationState.RUNNING
