"""Endpoints of webhooks and their outboxes: who gets which event, leases, retries, limits."""

from __future__ import annotations

from gaugepost.ledger.webhook_outbox import LONGEST_S, WAITS_S, Became
from gaugepost.ledger.webhook_records import (
    JOB_EVENTS,
)
from gaugepost.states import JobState
from gaugepost.transitions import Dead, Delivered, Unknown
from gaugepost.verdict import Verdict
from support.factories import record
from support.ledger_harness import HOUR_MS, Bench
from support.webhook_calls import add, end_one, lease_of, settle, take

EMAIL = "very-personal@example.net"


def test_without_endpoint_nothing_is_written(bench: Bench) -> None:
    end_one(bench)
    bench.ledger.hold("", "why", "ann")
    assert [key for key in bench.client.scan_iter() if b"outbox" in key or b"events:" in key or b"webhook" in key] == []


def test_each_ending_is_one_event_with_no_data_of_the_job(bench: Bench) -> None:
    endpoint = add(bench, *JOB_EVENTS)
    ids = bench.put(*(record(record={"Email": EMAIL}, labels=("a",), batch="b1") for _ in range(5)))
    first, second, third = bench.claim(3)
    bench.settle(first, Delivered({"links": [EMAIL]}))
    bench.settle(second, Dead(Verdict.MISSING_FIELD))
    bench.settle(third, Unknown("lost_answer"))
    bench.ledger.cancel(ids[3:])
    events = take(bench, endpoint)
    assert [event.type for event in events] == [
        "job.delivered", "job.dead", "job.unknown", "job.cancelled", "job.cancelled",
    ]  # fmt: skip
    common = {"kind": "record", "batch": "b1"}
    assert events[0].data == common | {"id": first.id, "state": "delivered"}
    assert events[1].data == common | {"id": second.id, "state": "dead", "verdict": "missing_field"}
    assert events[2].data == common | {"id": third.id, "state": "unknown", "reason": "lost_answer"}
    assert len({event.id for event in events}) == 5
    assert EMAIL.encode() not in b"".join(bench.client.hvals(bench.ledger.keys.of("events:", endpoint)))
    bench.ledger.resolve([third.id], JobState.DELIVERED)
    assert [(event.type, event.data["id"]) for event in take(bench, endpoint)] == [("job.delivered", third.id)]


def test_expired_job_and_repeated_settlement(bench: Bench) -> None:
    endpoint = add(bench)
    bench.put(record(expires_at="2026-11-22T00:00:01+00:00"))
    bench.tick(2000)
    [claimed] = [] or [*(bench.put(record()) and bench.claim())]
    bench.settle(claimed, verdict=Verdict.DELIVERED)
    bench.settle(claimed, verdict=Verdict.DELIVERED)
    assert [event.type for event in take(bench, endpoint)] == ["job.expired", "job.delivered"]


def test_endpoint_gets_only_the_events_and_sources_that_it_wants(bench: Bench) -> None:
    dead, crm, all_of_them = add(bench, "job.dead"), add(bench, source="crm"), add(bench)
    long = {"record": {"Email": "a@b.example", "note": "x" * 2000}}
    end_one(bench, source="crm")
    end_one(bench, source="erp")
    end_one(bench)
    end_one(bench, source="crm", **long)
    end_one(bench, source="erp", **long)
    end_one(bench, **long)
    bench.ledger.hold("", "why", "ann")
    bench.ledger.resume("")
    assert take(bench, dead) == []
    assert [(event.type, event.data["source"]) for event in take(bench, crm)] == [("job.delivered", "crm")] * 2
    assert [event.type for event in take(bench, all_of_them)] == ["job.delivered"] * 6 + ["hold.opened", "hold.lifted"]


def test_hold_is_an_event_when_it_opens_and_when_it_ends(bench: Bench) -> None:
    endpoint = add(bench, "hold.opened", "hold.lifted")
    bench.ledger.hold("configuration:c1", "wrong mapping", "ann", lasts_ms=5_000)
    bench.tick(6_000)
    opened, lifted = take(bench, endpoint)
    expected = {"scope": "configuration:c1", "reason": "wrong mapping", "by_person": True}
    assert {name: opened.data[name] for name in expected} == expected
    assert (lifted.type, lifted.data["why"]) == ("hold.lifted", "its end has come")


def test_leased_event_is_sent_again_under_its_id_when_the_lease_ends(bench: Bench) -> None:
    endpoint = add(bench)
    end_one(bench)
    first = lease_of(bench, endpoint)
    assert (take(bench, endpoint), bench.ledger.webhook_outbox.due()) == ([], [])
    bench.clock.go(60_000)
    second = lease_of(bench, endpoint)
    assert [event.id for event in second.events] == [event.id for event in first.events]
    settle(bench, first, Became.FAILED)  # the first worker is late: its failure counts for nothing
    assert bench.ledger.webhooks.read()[0].numbers.failing_since is None
    settle(bench, first, Became.SENT)  # but its success ends the event
    settle(bench, second, Became.FAILED)
    assert bench.ledger.webhooks.read()[0].numbers.waiting == 0
    assert bench.ledger.webhooks.read()[0].numbers.sent == 1


def test_failed_event_waits_longer_and_is_given_up_after_three_days(bench: Bench) -> None:
    endpoint, outbox = add(bench), bench.ledger.webhook_outbox
    end_one(bench)
    waits, started = [], bench.clock.ms
    while (lease := outbox.take(endpoint, 1)) is not None:
        settle(bench, lease, Became.FAILED)
        [event] = bench.ledger.webhooks.failures(endpoint)
        if event.due is None:
            break
        waits.append((event.due - bench.clock.ms) // 1000)
        bench.clock.go(event.due - bench.clock.ms)
    assert waits[: len(WAITS_S)] == list(WAITS_S)
    assert set(waits[len(WAITS_S) :]) == {WAITS_S[-1]}
    assert bench.clock.ms - started > (LONGEST_S - WAITS_S[-1]) * 1000
    assert bench.ledger.webhooks.read()[0].numbers.given_up == 1


def test_endpoint_that_fails_for_three_days_is_disabled_and_keeps_its_events(bench: Bench) -> None:
    endpoint, webhooks = add(bench), bench.ledger.webhooks
    end_one(bench)
    for _ in range(6):
        settle(bench, lease_of(bench, endpoint), Became.FAILED)
        assert webhooks.read()[0].state == "failing"
        bench.clock.go(12 * HOUR_MS)
    assert "too long: HTTP 500" in settle(bench, lease_of(bench, endpoint), Became.FAILED)
    [found] = webhooks.read()
    assert (found.state, found.numbers.waiting + found.numbers.given_up) == ("disabled", 1)
    end_one(bench)
    assert (take(bench, endpoint), webhooks.read()[0].numbers.waiting) == ([], found.numbers.waiting)
    assert webhooks.test(endpoint) is None
    assert webhooks.retry(endpoint) == 1
    assert (len(take(bench, endpoint)), webhooks.read()[0].state) == (1, "active")
    assert webhooks.retry("wh-absent") is None


def test_410_disables_at_once(bench: Bench) -> None:
    endpoint = add(bench)
    end_one(bench)
    assert settle(bench, lease_of(bench, endpoint), Became.GONE, "HTTP 410") == "it answered 410 Gone"
    assert bench.ledger.webhooks.read()[0].disabled == (bench.clock.ms, "it answered 410 Gone")


def test_failing_endpoint_is_tried_by_one_event_at_a_time(bench: Bench) -> None:
    endpoint = add(bench)
    for _ in range(10):
        end_one(bench)
    for _ in range(3):
        settle(bench, lease_of(bench, endpoint), Became.FAILED)
    assert (take(bench, endpoint), bench.ledger.webhook_outbox.due()) == ([], [])
    bench.clock.go(60_000)
    probe = lease_of(bench, endpoint, 100)
    assert (len(probe.events), take(bench, endpoint)) == (1, [])
    settle(bench, probe, Became.RETURNED)
    probe = lease_of(bench, endpoint, 100)
    settle(bench, probe, Became.SENT)
    assert len(lease_of(bench, endpoint, 100).events) == 9


def test_returned_and_unwanted_events_are_no_failures(bench: Bench) -> None:
    endpoint = add(bench)
    end_one(bench)
    settle(bench, lease_of(bench, endpoint), Became.RETURNED)
    settle(bench, lease_of(bench, endpoint), Became.UNWANTED)
    [found] = bench.ledger.webhooks.read()
    assert (found.numbers.waiting, found.numbers.sent, found.state) == (0, 0, "active")


def test_full_outbox_drops_new_events_and_counts_them(bench: Bench) -> None:
    endpoint, other = add(bench, limit=2), add(bench)
    ids = [end_one(bench) for _ in range(5)]
    assert [event.data["id"] for event in take(bench, endpoint)] == ids[:2]
    assert [(one.id, one.numbers.dropped) for one in bench.ledger.webhooks.read()] == sorted(
        [(endpoint, 3), (other, 0)], key=lambda row: row[0]
    )
    assert len(take(bench, other)) == 5


def test_endpoint_removed_meanwhile_leaves_nothing(bench: Bench) -> None:
    endpoint = add(bench)
    end_one(bench)
    lease = lease_of(bench, endpoint)
    bench.ledger.webhooks.drop(endpoint)
    for became in Became:
        settle(bench, lease, became)
    end_one(bench)
    assert [key for key in bench.client.scan_iter() if b"webhook" in key or b"outbox" in key or b"events" in key] == []


def test_event_that_was_given_up_is_deleted_after_thirty_days(bench: Bench) -> None:
    endpoint, outbox = add(bench), bench.ledger.webhook_outbox
    end_one(bench)
    settle(bench, lease_of(bench, endpoint), Became.FAILED)
    bench.clock.go(LONGEST_S * 1000 - 1000)
    settle(bench, lease_of(bench, endpoint), Became.FAILED)
    assert bench.ledger.webhooks.read()[0].numbers.given_up == 1
    bench.clock.go(31 * 24 * HOUR_MS)
    outbox.due()
    assert bench.ledger.webhooks.read()[0].numbers.given_up == 0
    assert bench.client.hlen(bench.ledger.keys.of("events:", endpoint)) == 0


def test_test_event_goes_to_its_endpoint_alone(bench: Bench) -> None:
    endpoint, other = add(bench, "job.dead"), add(bench)
    event_id = bench.ledger.webhooks.test(endpoint)
    assert event_id is not None
    assert bench.ledger.webhooks.event(endpoint, event_id) is not None
    [event] = take(bench, endpoint)
    assert (event.id, event.type) == (event_id, "webhook.test")
    assert take(bench, other) == []


def test_damaged_endpoint_stops_no_job(bench: Bench) -> None:
    endpoint = add(bench)
    bench.client.hset(bench.ledger.keys["webhooks"], "wh-damaged", "{")
    end_one(bench)
    assert len(take(bench, endpoint)) == 1


def test_row_of_an_event_names_its_job(bench: Bench) -> None:
    endpoint = add(bench)
    job_id = end_one(bench)
    settle(bench, lease_of(bench, endpoint), Became.FAILED)
    [event] = bench.ledger.webhooks.failures(endpoint)
    row = event.to_dict()
    assert (row["job"], row["type"], row["tries"], row["error"]) == (job_id, "job.delivered", 1, "HTTP 500")
    assert event.type in JOB_EVENTS
