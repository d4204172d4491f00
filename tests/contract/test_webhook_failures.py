"""What counts as a failure of an endpoint, and what does not: silence, tests, secrets and jobs without their key."""

from __future__ import annotations

from typing import Any

import pytest

from gaugepost.errors import DataSealed
from gaugepost.ledger.webhook_outbox import LONGEST_S, Became
from gaugepost.ledger.webhook_records import new_secret
from support.ledger_harness import HOUR_MS, Bench
from support.webhook_calls import add, end_one, lease_of, read_one, settle, take

DAYS_MS = 24 * HOUR_MS
OLD, NEW = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", "MTEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


def test_failure_after_a_long_silence_counts_anew(bench: Bench) -> None:
    endpoint = add(bench)
    end_one(bench)
    settle(bench, lease_of(bench, endpoint), Became.FAILED)
    bench.clock.go(5_000)
    settle(bench, lease_of(bench, endpoint), Became.UNWANTED)  # its job was erased
    bench.clock.go(LONGEST_S * 1000)
    end_one(bench)
    assert settle(bench, lease_of(bench, endpoint), Became.FAILED) == ""
    assert (read_one(bench).state, read_one(bench).numbers.failing_since) == ("failing", bench.clock.ms)


@pytest.mark.parametrize("became", [Became.FAILED, Became.GONE])
def test_test_that_fails_counts_for_nothing(bench: Bench, became: Became) -> None:
    endpoint, webhooks = add(bench), bench.ledger.webhooks
    for _ in range(5):
        test = webhooks.test(endpoint)
        assert test is not None
        assert settle(bench, lease_of(bench, endpoint), became, "HTTP 410") == ""
        event = webhooks.event(endpoint, test)
        assert event is not None
        assert event.error == "HTTP 410"
        assert take(bench, endpoint) == []
        webhooks.forget(endpoint, test)
        bench.clock.go(DAYS_MS)
    assert read_one(bench).state == "active"
    assert (read_one(bench).numbers.waiting, read_one(bench).numbers.given_up) == (0, 0)


def test_test_goes_before_all_others_while_the_endpoint_fails(bench: Bench) -> None:
    endpoint, outbox = add(bench, limit=10), bench.ledger.webhook_outbox
    for _ in range(12):
        end_one(bench)
    for _ in range(4):
        settle(bench, lease_of(bench, endpoint), Became.FAILED)
        bench.clock.go(60_000)
    settle(bench, lease_of(bench, endpoint), Became.FAILED)
    assert (outbox.due(), take(bench, endpoint)) == ([], [])
    test = bench.ledger.webhooks.test(endpoint)
    assert outbox.due() == [endpoint]
    lease = lease_of(bench, endpoint, 100)
    assert [event.id for event in lease.events] == [test]
    settle(bench, lease, Became.RETURNED)  # a worker that ends
    lease = lease_of(bench, endpoint, 100)
    assert [event.id for event in lease.events] == [test]
    assert (outbox.due(), take(bench, endpoint)) == ([], [])
    settle(bench, lease, Became.SENT)  # the receiver is back
    assert len(take(bench, endpoint)) > 1


def test_secret_without_its_key_is_a_failure_that_never_disables(bench: Bench) -> None:
    endpoint, why = add(bench), "the secret is encrypted"
    end_one(bench)
    for _ in range(5):
        settle(bench, lease_of(bench, endpoint), Became.SEALED, why)
        bench.clock.go(DAYS_MS)
    found = read_one(bench)
    assert (found.state, found.numbers.error, found.numbers.waiting) == ("failing", why, 1)
    assert found.numbers.sealed_since == bench.clock.ms - 5 * DAYS_MS
    assert settle(bench, lease_of(bench, endpoint), Became.FAILED) == ""
    assert read_one(bench).numbers.failing_since == bench.clock.ms
    bench.clock.go(5_000)
    settle(bench, lease_of(bench, endpoint), Became.SENT)
    assert read_one(bench).state == "active"


def test_endpoint_without_events_is_noted_as_sealed_too(bench: Bench) -> None:
    endpoint, webhooks = add(bench), bench.ledger.webhooks
    bench.ledger.webhook_outbox.note_sealed(endpoint, "why")
    bench.ledger.webhook_outbox.note_sealed("wh-absent", "why")
    assert (read_one(bench).state, read_one(bench).numbers.error) == ("failing", "why")
    webhooks.renew(endpoint)
    assert (read_one(bench).state, read_one(bench).numbers.error) == ("active", None)


def test_worker_without_the_key_changes_nothing_while_another_has_it(bench: Bench) -> None:
    endpoint, webhooks, outbox = add(bench), bench.ledger.webhooks, bench.ledger.webhook_outbox
    for _ in range(10):
        webhooks.renew(endpoint)
        bench.clock.go(300_000)
        outbox.note_sealed(endpoint, "why")
        assert (read_one(bench).state, read_one(bench).numbers.error) == ("active", None)
    bench.clock.go(600_000)  # the worker with the key has ended
    outbox.note_sealed(endpoint, "why")
    assert (read_one(bench).state, read_one(bench).numbers.sealed_since) == ("failing", bench.clock.ms)


def test_delivery_shows_that_a_worker_has_the_key(bench: Bench) -> None:
    endpoint = add(bench)
    end_one(bench)
    settle(bench, lease_of(bench, endpoint), Became.SENT)
    end_one(bench)
    settle(bench, lease_of(bench, endpoint), Became.SEALED, "why")
    assert (read_one(bench).state, read_one(bench).numbers.waiting) == ("active", 1)
    assert take(bench, endpoint), "the worker with the key takes the event at once"


def test_event_of_an_undecryptable_job_is_no_failure_of_its_endpoint(bench: Bench) -> None:
    endpoint = add(bench)
    end_one(bench)
    for _ in range(20):
        lease = bench.ledger.webhook_outbox.take(endpoint, 1)
        if lease is not None:
            settle(bench, lease, Became.UNREADABLE, "job … is encrypted")
        bench.clock.go(12 * HOUR_MS)
    assert (read_one(bench).state, read_one(bench).numbers.given_up) == ("active", 1)
    [event] = bench.ledger.webhooks.failures(endpoint)
    assert event.error == "job … is encrypted"


def keyed(client: Any, *keys: str) -> Bench:
    return Bench(client, data_key=",".join(keys)) if keys else Bench(client)


def test_secret_is_renewed_under_the_first_key(client: Any) -> None:
    secret = new_secret()
    endpoint = add(keyed(client), secret=secret)
    for ring in ((OLD,), (OLD, NEW), (NEW, OLD), (NEW,)):
        bench = keyed(client, *ring)
        bench.ledger.webhooks.renew(endpoint)
        assert bench.ledger.webhooks.secrets(endpoint, 0) == [secret]
    before = client.hgetall(bench.ledger.keys["webhook_secrets"])
    bench.ledger.webhooks.renew(endpoint)
    bench.ledger.webhooks.renew("wh-absent")
    assert client.hgetall(bench.ledger.keys["webhook_secrets"]) == before
    for other in (keyed(client), keyed(client, OLD)):
        with pytest.raises(DataSealed):
            other.ledger.webhooks.renew(endpoint)


def test_secret_whose_key_is_lost_is_replaced_only_without_it(client: Any) -> None:
    endpoint, bench = add(keyed(client, OLD)), keyed(client, NEW)
    bench.ledger.webhook_outbox.note_sealed(endpoint, "why")
    with pytest.raises(DataSealed):
        bench.ledger.webhooks.rotate(endpoint, "whsec_new", 1_000, 2_000)
    with pytest.raises(DataSealed):  # without a key the new secret would be readable
        keyed(client).ledger.webhooks.rotate(endpoint, "whsec_new", 1_000, 1_000)
    assert bench.ledger.webhooks.rotate(endpoint, "whsec_new", 1_000, 1_000)
    assert bench.ledger.webhooks.secrets(endpoint, 0) == ["whsec_new"]
    assert (read_one(bench).state, read_one(bench).numbers.error) == ("active", None)
