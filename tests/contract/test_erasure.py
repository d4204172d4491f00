"""Erasing a person: what Redis has afterwards, and what stays."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import redis
from cryptography.fernet import Fernet

from gaugepost import InvalidQuery, JobState
from gaugepost.ledger.erasing import Person, Receipt
from gaugepost.transitions import Dead, Delivered, Parked, Unknown
from gaugepost.verdict import Verdict
from support.all_values import all_values, marks_in
from support.factories import case, link, record, upload
from support.ledger_harness import HOUR_MS, Bench

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gaugepost.jobs import JobBase

EMAIL, PHONE, NAME = "joe.doe@example.com", "+49 (30) 123-456", "Josephine Sentinel"
JOE = Person(EMAIL, PHONE)
MARKS = ("joe.doe", "123-456", "49301234", "Sentinel")


def joes(**more: object) -> JobBase:
    return record(record={"Email": "Joe.Doe@example.com", "Phone": PHONE, "Name": NAME}, **more)


def erase(bench: Bench) -> Receipt:
    return bench.ledger.erasure.erase(JOE, bench.clock.ms, "ann@desk")


def left(bench: Bench) -> list[str]:
    return marks_in(all_values(bench.client), MARKS)


@pytest.fixture(params=["plain", "encrypted"])
def both(request: pytest.FixtureRequest, client: redis.Redis) -> Iterator[Bench]:
    """Make a bench without and with DATA_KEY. At the end, check that the store is consistent."""
    key = {"data_key": Fernet.generate_key().decode()} if request.param == "encrypted" else {}
    made = Bench(client, **key)
    yield made
    assert made.truth().faults == []


def test_unsent_jobs_are_cancelled_and_lose_their_data(both: Bench) -> None:
    queued, urgent = both.put(joes(idempotency_key=EMAIL, labels=(EMAIL,)), joes(urgent=True))
    [parked] = both.put(joes())
    claimed = {one.id: one for one in both.claim()}
    both.settle(claimed[parked], Parked(60_000, "retry"), verdict=Verdict.SERVER_ERROR)
    for one in (queued, urgent):
        both.settle(claimed[one], Parked(1_000, "retry"), verdict=Verdict.SERVER_ERROR)
    later = joes(deliver_at=_after(both))
    [scheduled] = both.put(later)
    assert erase(both) == Receipt(cancelled=4)
    assert both.states([queued, urgent, parked, scheduled]) == ["cancelled"] * 4
    view = both.view(queued)
    assert (view.reason, view.erased_at, view.job.get("record")) == ("erased", both.clock.ms, None)
    assert view.history.entries[-1] == {"event": "erased", "at": both.clock.ms, "by": "ann@desk"}
    assert left(both) == []


def _after(bench: Bench) -> datetime:
    return datetime.fromtimestamp((bench.clock.ms + HOUR_MS) / 1000, UTC)


def test_ended_jobs_keep_state_and_verdict_alone(both: Bench) -> None:
    ids = both.put(joes(), joes(), joes())
    delivered, dead, unknown = both.claim()
    both.settle(delivered, Delivered({"messages": [f"row 1: {EMAIL}"]}), verdict=Verdict.DELIVERED)
    both.settle(dead, Dead(Verdict.INVALID_VALUE), verdict=Verdict.INVALID_VALUE)
    both.settle(unknown, Unknown("lost answer"))
    assert erase(both) == Receipt(stripped=3)
    assert both.states(ids) == ["delivered", "dead", "unknown"]
    view = both.view(ids[1])
    assert (view.verdict, view.result, len(view.history.attempts())) == ("invalid_value", None, 1)
    assert view.to_dict()["erased"] is not None
    assert left(both) == []


def test_jobs_of_others_do_not_change(both: Bench) -> None:
    [other] = both.put(record(record={"Email": "jane@example.com"}, idempotency_key="order-2"))
    both.put(joes(idempotency_key="order-1"))
    both.ledger.find(Person("jane@example.com").query(), 1)
    before = both.client.hgetall(f"gaugepost:{{eu}}:job:{other}")
    assert erase(both).jobs == 1
    assert both.client.hgetall(f"gaugepost:{{eu}}:job:{other}") == before
    assert both.claim_ids() == [other]
    assert [view.id for view in both.ledger.find(Person("jane@example.com").query(), 5)] == [other]


@pytest.mark.parametrize("to", [Delivered({"messages": [EMAIL]}), Parked(60_000, "retry"), Dead(Verdict.INVALID_VALUE)])
def test_job_being_sent_is_stripped_when_it_ends(both: Bench, to: Delivered | Parked | Dead) -> None:
    [job_id] = both.put(joes())
    [claimed] = both.claim()
    assert erase(both) == Receipt(sending=1)
    assert both.state(job_id) == JobState.SENDING
    assert both.settle(claimed, to, verdict=Verdict.SERVER_ERROR)
    assert both.state(job_id) == {Parked: "cancelled", Delivered: "delivered", Dead: "dead"}[type(to)]
    assert left(both) == []
    assert both.client.scard("gaugepost:{eu}:erasing") == 0


def test_second_call_finds_nothing_more(both: Bench) -> None:
    both.put(joes(), joes())
    assert erase(both) == Receipt(cancelled=2)
    before = all_values(both.client)
    assert erase(both) == Receipt()
    assert all_values(both.client) == before


def test_erased_job_is_not_replayed(both: Bench) -> None:
    [job_id] = both.put(joes())
    [claimed] = both.claim()
    both.settle(claimed, Dead(Verdict.INVALID_VALUE))
    erase(both)
    assert both.ledger.replay([job_id]) == [(JobState.DEAD, False)]


def test_idempotency_key_of_erased_job_is_forgotten(both: Bench) -> None:
    [job_id] = both.put(joes(idempotency_key=EMAIL))
    erase(both)
    assert both.client.keys("gaugepost:{eu}:idem*") == both.client.keys("gaugepost:{eu}:keyed*") == []
    assert both.put(joes(idempotency_key=EMAIL)) != [job_id]


def test_no_reference_of_the_person_is_left_in_the_index(both: Bench) -> None:
    both.put(*[joes() for _ in range(120)])
    assert erase(both) == Receipt(cancelled=120)
    assert both.client.keys("gaugepost:{eu}:ref*") == []


def test_jobs_without_an_index_entry_are_erased_too(both: Bench) -> None:
    both.put(joes(), joes(deliver_at=_after(both)))
    both.client.delete("gaugepost:{eu}:arrivals")  # as a version without an index stores jobs
    assert erase(both) == Receipt(cancelled=2)
    assert left(both) == []


def test_next_job_of_the_lane_becomes_ready(both: Bench) -> None:
    one, other = both.put(case(labels=(EMAIL,)), case())
    assert both.states([one, other]) == ["queued", "waiting"]
    assert erase(both) == Receipt(cancelled=1)
    assert both.states([one, other]) == ["cancelled", "queued"]


def test_file_parts_with_the_address_are_listed(both: Bench) -> None:
    has, _, _ = both.put(
        upload(content=b"Email;Name\nJOE.doe@example.com;J\n"),
        upload(name="b.csv", content=b"Email;Name\njane@example.com;Jane\n"),
        link(),
    )
    receipt = erase(both)
    assert (receipt.jobs, receipt.parts, receipt.unread) == (0, (has,), ())


@pytest.mark.parametrize("person", [Person(), Person("joe"), Person(phone="none")])
def test_malformed_person_is_refused(person: Person) -> None:
    with pytest.raises(InvalidQuery):
        person.query()
