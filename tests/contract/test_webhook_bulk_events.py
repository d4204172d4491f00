"""Events of uploads, batches and operations: written once, by the script that ends them."""

from __future__ import annotations

from typing import Any

from gaugepost.ledger import Entry
from gaugepost.ledger.job_filter import JobFilter
from gaugepost.ledger.operations import Action
from gaugepost.ledger.webhook_records import Endpoint, new_endpoint_id, new_secret
from gaugepost.states import JobState
from gaugepost.transitions import Dead, Delivered, Unknown
from gaugepost.verdict import Verdict
from support.factories import file_set, record, upload
from support.ledger_harness import SLOT_MS, Bench


def add(bench: Bench, *events: str) -> str:
    endpoint = Endpoint(new_endpoint_id(), "https://receiver.example/", events, ("eu",))
    assert bench.ledger.webhooks.put(endpoint, new_secret())
    return endpoint.id


def taken(bench: Bench, endpoint: str) -> list[tuple[str, dict[str, Any]]]:
    """Take the events that are due; return their types and data."""
    lease = bench.ledger.webhook_outbox.take(endpoint, 1000)
    return [] if lease is None else [(event.type, dict(event.data)) for event in lease.events]


def send_file(bench: Bench) -> str:
    """Send the next file; return its id."""
    bench.clock.go(SLOT_MS)
    [claimed] = bench.claim(1)
    assert bench.ledger.mark(claimed)[0] == 1
    assert bench.settle(claimed)
    return claimed.id


def test_upload_has_ended_when_its_last_part_has(bench: Bench) -> None:
    endpoint = add(bench, "file.finished")
    files, entries = file_set(3)
    for entry in entries:
        bench.ledger.file_sets.stage(entry.id, b"Email\na@b.example\n")
    assert bench.ledger.file_sets.enqueue(files, entries, again=False, first=False) == files.id
    assert bench.ledger.cancel([entries[0].id]) == [(JobState.CANCELLED, True)]
    send_file(bench)
    assert taken(bench, endpoint) == []
    last = send_file(bench)
    assert taken(bench, endpoint) == [("file.finished", {"id": last, "set": files.id})]
    assert bench.client.exists(bench.ledger.keys.of("parts:", files.id)) == 0


def test_file_without_parts_is_an_upload_of_its_own(bench: Bench) -> None:
    endpoint = add(bench, "file.finished")
    [job_id] = bench.put(upload())
    send_file(bench)
    assert taken(bench, endpoint) == [("file.finished", {"id": job_id})]


def test_batch_is_finished_when_no_job_of_it_is_open(bench: Bench) -> None:
    endpoint = add(bench, "batch.finished")
    bench.put(*(record(batch="spring") for _ in range(4)))
    first, second, third, fourth = bench.claim(4)
    bench.settle(first, Delivered())
    bench.settle(second, Dead(Verdict.MISSING_FIELD))
    bench.settle(third, Unknown("lost_answer"))
    assert taken(bench, endpoint) == []
    bench.settle(fourth, Delivered())
    expected = {"batch": "spring", "total": 4, "delivered": 2, "dead": 1, "unknown": 1, "cancelled": 0, "expired": 0}
    assert taken(bench, endpoint) == [("batch.finished", expected)]


def test_batch_that_its_canary_holds_is_an_event(bench: Bench) -> None:
    endpoint = add(bench, "batch.held", "hold.opened")
    entries = [Entry.of(record(batch="spring"), canary="2:0:") for _ in range(5)]
    bench.ledger.enqueue(entries)
    for claimed in bench.claim(2):
        bench.settle(claimed, Dead(Verdict.MISSING_FIELD), verdict=Verdict.MISSING_FIELD)
    kinds = [kind for kind, _ in taken(bench, endpoint)]
    assert kinds.count("batch.held") == 1
    assert kinds.count("hold.opened") == 2  # it waits for the canary; then it says why it stays


def test_operation_is_finished_once_with_its_numbers(bench: Bench) -> None:
    endpoint = add(bench, "operation.finished")
    bench.put(record(), record())
    queued = JobFilter(state=JobState.QUEUED)
    started = bench.ledger.operations.start(Action.CANCEL, queued, by="ann", reason="ask joe@example.net")
    bench.ledger.operation_runner.run("w1", 5)
    bench.ledger.operation_runner.run("w1", 5)
    expected = {"id": started.id, "action": "cancel", "state": "finished", "matched": 2, "done": 2}
    assert taken(bench, endpoint) == [("operation.finished", expected)]
    aborted = bench.ledger.operations.start(Action.CANCEL, queued, by="ann")
    bench.ledger.operations.abort(aborted.id)
    bench.ledger.operations.abort(aborted.id)
    assert [data["state"] for _, data in taken(bench, endpoint)] == ["aborted"]
