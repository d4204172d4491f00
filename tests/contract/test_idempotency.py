"""Check that the same idempotency key with other content is a conflict, and that the call stores nothing."""

from __future__ import annotations

import asyncio
import base64
import os
from typing import TYPE_CHECKING, Any

import pytest

from gaugepost import IdempotencyConflict, InvalidJob, Settings
from gaugepost.encryption import NO_CIPHER
from gaugepost.ledger import Entry
from gaugepost.testing import AsyncMemoryProducer, MemoryProducer
from support.factories import case, file_delete, link, record, response, upload
from support.ledger_harness import HOUR_MS, Bench

if TYPE_CHECKING:
    import redis

    from gaugepost.jobs import JobBase
    from gaugepost.ledger import Accepted

MAIL = "joe.doe@example.com"
CELLS = {"Email": MAIL, "Name": "Joe"}
OLD, NEW = (base64.urlsafe_b64encode(os.urandom(32)).decode() for _ in range(2))


def put(bench: Bench, job: JobBase) -> Accepted:
    return bench.ledger.enqueue([Entry.of(job.model_copy(update={"idempotency_key": "k"}))])[0]


SAME = {
    "order of cells": (record(record=CELLS), record(record=dict(reversed(CELLS.items())))),
    "who, when and how": (
        record(),
        record(source="crm", labels=["a"], urgent=True, expires_at="2099-01-01T00:00:00Z", on_unknown="hold"),
    ),
    "spelling of a number": (case(53499), case("0053499")),
    "spelling of a score": (response(net_promoter_score=9), response(net_promoter_score="9")),
    "name of a file": (upload("a.csv"), upload("b.csv")),
    "deletion": (file_delete(), file_delete()),
}
OTHER = {
    "cell": (record(record=CELLS), record(record=CELLS | {"Name": "Jane"})),
    "heading": (record(record={"Email": MAIL}), record(record={"email": MAIL})),
    "configuration": (record(), record(configuration="other")),
    "kind": (record(record=CELLS), link(record=CELLS)),
    "status": (case(), case(status="closed")),
    "note": (case(), case(note="call")),
    "case": (case(1), case(2)),
    "comment": (response(), response(comment="fine")),
    "content of a file": (upload(content=b"Email\na@b.example\n"), upload(content=b"Email\nc@d.example\n")),
    "family of a file": (upload(), upload(family="contact")),
    "upload to delete": (file_delete(), file_delete(upload_id=13)),
}


@pytest.mark.parametrize(("first", "again"), SAME.values(), ids=SAME)
def test_key_with_the_same_content_gives_the_first_job(bench: Bench, first: JobBase, again: JobBase) -> None:
    one, other = put(bench, first), put(bench, again)
    assert (other.id, other.duplicate, other.conflict) == (one.id, True, False)


@pytest.mark.parametrize(("first", "other"), OTHER.values(), ids=OTHER)
def test_key_with_other_content_is_a_conflict_that_stores_nothing(bench: Bench, first: JobBase, other: JobBase) -> None:
    one, before = put(bench, first), bench.truth()
    refused = put(bench, other)
    assert (refused.id, refused.duplicate, refused.conflict) == (one.id, True, True)
    assert bench.truth() == before


def test_conflict_within_one_call_is_found_too(bench: Bench) -> None:
    jobs = [record(idempotency_key="k"), record(idempotency_key="k"), link(idempotency_key="k"), record()]
    found = bench.ledger.enqueue([Entry.of(job) for job in jobs])
    assert [(one.duplicate, one.conflict) for one in found] == [
        (False, False),
        (True, False),
        (True, True),
        (False, False),
    ]
    assert len({one.id for one in found}) == 2


def test_repeated_call_of_a_conflict_says_the_same(bench: Bench) -> None:
    put(bench, record())
    entries = [Entry.of(link(idempotency_key="k")), Entry.of(record())]
    first = bench.ledger.enqueue(entries)
    assert bench.ledger.enqueue(entries) == first
    assert [one.conflict for one in first] == [True, False]


def put_all_or_none(bench: Bench, *jobs: JobBase) -> list[Accepted]:
    entries = [Entry.of(job) for job in jobs]
    ledger = bench.ledger
    first = ledger._run(ledger.producer_calls.enqueue(entries, no_conflict=True))
    assert ledger._run(ledger.producer_calls.enqueue(entries, no_conflict=True)) == first, "a repeated call"
    return first


def test_call_without_conflicts_stores_all_its_jobs(bench: Bench) -> None:
    one = put(bench, record())
    found = put_all_or_none(bench, record(idempotency_key="k"), record(), link(idempotency_key="l"))
    assert [job.duplicate for job in found] == [True, False, False]
    assert found[0].id == one.id
    assert bench.ledger.summary()["queued"] == 3


def test_call_without_conflicts_stores_nothing_if_one_job_conflicts(bench: Bench) -> None:
    one, before = put(bench, record()), bench.truth()
    with pytest.raises(IdempotencyConflict) as refused:
        put_all_or_none(bench, record(), upload(), record(idempotency_key="k"), link(idempotency_key="k"))
    assert (refused.value.id, refused.value.number, refused.value.first) == (one.id, 4, None)
    assert bench.truth() == before


def test_call_without_conflicts_finds_those_among_its_own_jobs(bench: Bench) -> None:
    before = bench.truth()
    with pytest.raises(IdempotencyConflict) as refused:
        put_all_or_none(bench, record(), record(idempotency_key="l"), link(idempotency_key="l"))
    assert (refused.value.number, refused.value.first) == (3, 2)
    assert bench.truth() == before


def test_key_outlives_its_job_and_still_compares(client: redis.Redis) -> None:
    bench = Bench(client, retention_delivered="1h")
    first = put(bench, record())
    bench.settle(bench.claim()[0])
    bench.clock.go(2 * HOUR_MS)
    assert bench.ledger.sweep() == 1
    other, again = put(bench, link()), put(bench, record())
    assert (other.id, other.conflict) == (first.id, True)
    assert (again.id, again.conflict, again.state) == (first.id, False, "delivered")


def test_key_of_an_older_version_without_a_hash_is_no_conflict(bench: Bench) -> None:
    first = put(bench, record())
    [hashed] = bench.client.keys("*:idem_content:*")
    bench.client.delete(hashed)
    other = put(bench, link())
    assert (other.id, other.duplicate, other.conflict) == (first.id, True, False)


def test_hash_lives_as_long_as_its_key(bench: Bench) -> None:
    put(bench, record())
    [key], [hashed] = bench.client.keys("*:idem:*"), bench.client.keys("*:idem_content:*")
    assert abs(bench.client.pttl(key) - bench.client.pttl(hashed)) < 1_000


def keyed(client: redis.Redis, *keys: str) -> Bench:
    return Bench(client, data_key=",".join(keys))


def test_encrypted_jobs_compare_through_a_key_rotation(client: redis.Redis) -> None:
    first = put(keyed(client, OLD), record())
    for keys in ((OLD,), (OLD, NEW), (NEW, OLD)):
        again, other = put(keyed(client, *keys), record()), put(keyed(client, *keys), link())
        assert (again.id, again.conflict) == (first.id, False)
        assert (other.id, other.conflict) == (first.id, True)


@pytest.mark.parametrize("keys", [(), (NEW,)], ids=["no key", "another key"])
def test_incomparable_jobs_are_no_conflict(client: redis.Redis, keys: tuple[str, ...]) -> None:
    first = put(keyed(client, OLD), record())
    other = put(keyed(client, *keys) if keys else Bench(client), link())
    assert (other.id, other.duplicate, other.conflict) == (first.id, True, False)


def test_stored_keys_reveal_no_address_when_a_data_key_is_set(client: redis.Redis) -> None:
    bench, job = keyed(client, NEW), record(record={"Email": MAIL})
    put(bench, job)
    [hashed] = client.keys("*:idem_content:*")
    stored = str(client.get(hashed))
    [plain] = NO_CIPHER.hashes(job.sent())
    assert plain.partition(":")[2] not in stored


# Producers


def test_enqueue_raises_a_conflict_that_names_the_first_job() -> None:
    producer = MemoryProducer()
    first = producer.enqueue(record(), idempotency_key="ticket-1")
    with pytest.raises(IdempotencyConflict) as refused:
        producer.enqueue(record(record={"Email": "other@example.com"}), idempotency_key="ticket-1")
    assert refused.value.id == first.id
    assert isinstance(refused.value, InvalidJob)
    assert str(refused.value) == (
        f"idempotency_key: was used for job {first.id}, which has another kind or content: nothing was stored"
    )
    assert len(producer.enqueued()) == 1


def test_enqueue_of_asyncio_raises_it_too() -> None:
    async def ask() -> None:
        producer = AsyncMemoryProducer()
        await producer.enqueue(record(), idempotency_key="k")
        await producer.enqueue(link(), idempotency_key="k")

    with pytest.raises(IdempotencyConflict):
        asyncio.run(ask())


def test_enqueue_many_says_on_the_receipt_which_is_a_conflict() -> None:
    producer = MemoryProducer(Settings.given(data_key=NEW))
    jobs: list[Any] = [record(idempotency_key="k"), link(idempotency_key="k"), record(idempotency_key="k")]
    receipts = producer.enqueue_many(jobs)
    assert [(one.duplicate, one.conflict) for one in receipts] == [(False, False), (True, True), (True, False)]
    assert (receipts.duplicates, receipts.conflicts) == (2, 1)
    assert len({one.id for one in receipts}) == 1
