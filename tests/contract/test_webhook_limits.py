"""How many events a region keeps, in which order workers take them, and events that are dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaugepost.ledger.webhook_outbox import Became
from gaugepost.ledger.webhook_records import MOST_EVENTS, MOST_OF_REGION
from gaugepost.states import JobState
from support.factories import file_set, record
from support.webhook_calls import add, end_one, lease_of, read_one, settle, take

if TYPE_CHECKING:
    from support.ledger_harness import Bench


def fill(bench: Bench, endpoint: str, number: int) -> None:
    """Let this many events wait for an endpoint."""
    for first in range(0, number, 10_000):
        bench.client.rpush(bench.ledger.keys.of("untried:", endpoint), *["{}"] * min(10_000, number - first))


def test_endpoints_of_a_region_share_its_limit(bench: Bench) -> None:
    first, *_, last = [add(bench, "job.delivered") for _ in range(8)]
    assert {one.limit for one in bench.ledger.webhooks.read()} == {MOST_OF_REGION // 8}
    fill(bench, first, MOST_OF_REGION // 8 - 1)
    end_one(bench)
    end_one(bench)
    numbers = {one.id: one.numbers for one in bench.ledger.webhooks.read()}
    assert (numbers[first].waiting, numbers[first].dropped) == (MOST_OF_REGION // 8, 1)
    assert (numbers[last].waiting, numbers[last].dropped) == (2, 0)


def test_full_outbox_keeps_what_it_has_and_counts_the_rest(bench: Bench) -> None:
    endpoint = add(bench)
    assert read_one(bench).limit == MOST_EVENTS
    fill(bench, endpoint, MOST_EVENTS - 3)
    ids = bench.put(*(record() for _ in range(10)))
    bench.ledger.cancel(ids)
    assert (read_one(bench).share, read_one(bench).numbers.dropped) == (1.0, 7)
    assert bench.ledger.webhooks.test(endpoint) is not None  # a test always has room


def test_events_of_one_script_are_written_for_each_endpoint_that_wants_them(bench: Bench) -> None:
    alone, crm, every = add(bench, "job.cancelled"), add(bench, source="crm"), add(bench)
    ids = bench.put(*(record(source="crm" if n % 2 else None, batch="spring") for n in range(250)))
    bench.ledger.cancel(ids)
    assert [event.data["id"] for event in take(bench, alone)] == ids
    assert [event.data["id"] for event in take(bench, crm)] == ids[1::2]
    types = [event.type for event in take(bench, every)]
    assert (types.count("job.cancelled"), types.count("batch.finished")) == (250, 1)


def test_events_keep_their_ids_after_a_restore(bench: Bench) -> None:
    endpoint, keys = add(bench), bench.ledger.keys
    for _ in range(5):
        end_one(bench)
        bench.clock.go(10)
    backup = bench.client.lrange(keys.of("untried:", endpoint), 0, -1)
    first = [event.id for event in take(bench, endpoint)]
    bench.client.delete(*(keys.of(family, endpoint) for family in ("outbox:", "events:", "webhook:")))
    bench.client.rpush(keys.of("untried:", endpoint), *backup)
    assert bench.ledger.webhooks.test(endpoint) is not None
    assert [event.type for event in take(bench, endpoint)] == ["webhook.test"]
    assert [event.id for event in take(bench, endpoint)] == first
    assert len(set(first)) == 5


def test_events_that_failed_and_new_ones_share_the_places(bench: Bench) -> None:
    endpoint = add(bench)
    failed = []
    for _ in range(2):
        end_one(bench)
        lease = lease_of(bench, endpoint)
        failed += [event.id for event in lease.events]
        settle(bench, lease, Became.FAILED)
    bench.clock.go(60_000)
    for _ in range(20):
        end_one(bench)
    some = lease_of(bench, endpoint, 4)
    assert [event.id for event in some.events][:2] == failed
    assert [event.tries for event in some.events] == [1, 1, 0, 0]
    assert len(take(bench, endpoint, 16)) == 16


def test_cancelling_without_events_writes_none(bench: Bench) -> None:
    endpoint = add(bench)
    files, entries = file_set(2)
    for entry in entries:
        bench.ledger.file_sets.stage(entry.id, b"Email\na@b.example\n")
    bench.ledger.file_sets.enqueue(files, entries, again=False, first=False)
    ids = [*bench.put(record(batch="b1")), *(entry.id for entry in entries)]
    assert bench.ledger.cancel(ids, events=False) == [(JobState.CANCELLED, True)] * 3
    assert (take(bench, endpoint), read_one(bench).numbers.waiting) == ([], 0)
