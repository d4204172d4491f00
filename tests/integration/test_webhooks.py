"""Webhooks from the ledger to a real receiver: every event arrives, each id has one effect, whatever fails."""

from __future__ import annotations

import threading
from ipaddress import ip_network
from typing import TYPE_CHECKING

import pytest
import redis

from gaugepost import Region, Settings
from gaugepost.ledger import WorkerLedger
from gaugepost.ledger.webhook_records import Endpoint, new_endpoint_id, new_secret
from gaugepost_workers.webhooks.sender import WebhookSender, webhook_client
from support.factories import record
from support.faulty_server import Server, stalls
from support.ledger_harness import HOUR_MS, Bench
from support.wait import wait_until
from support.webhook_receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator

LOOPBACK = (ip_network("127.0.0.0/8"),)
ENDINGS = 10_000


@pytest.fixture
def bench(redis_url: str) -> Iterator[Bench]:
    with redis.Redis.from_url(redis_url) as client:
        yield Bench(client)


def sender_of(bench: Bench, **settings: float) -> WebhookSender:
    """Return the sender of a worker that uses the clock of the bench."""
    made = Settings.given(redis_url="redis://127.0.0.1:1/0", webhook_networks=LOOPBACK, **settings)
    return WebhookSender(bench.ledger, webhook_client(made, Region.EU))


def add(bench: Bench, url: str, *events: str) -> tuple[str, str]:
    endpoint, secret = Endpoint(new_endpoint_id(), url, events), new_secret()
    assert bench.ledger.webhooks.put(endpoint, secret)
    return endpoint.id, secret


def end(bench: Bench, number: int) -> list[str]:
    """End this many jobs; return their ids."""
    ids = []
    for _ in range(0, number, 100):
        ids += bench.put(*(record() for _ in range(min(100, number))))
        for claimed in (ready := bench.claim(100)):
            assert bench.settle(claimed)
        assert ready
    return ids


def waiting(bench: Bench) -> int:
    return sum(one.numbers.waiting for one in bench.ledger.webhooks.read())


def drain(bench: Bench, sender: WebhookSender) -> None:
    """Let workers tick until nothing waits."""

    def ticked() -> bool:
        sender.wake()
        bench.clock.go(5_000)
        return waiting(bench) == 0

    wait_until(ticked, within=120, what=bench.ledger.webhooks.read)


def test_every_event_arrives_after_the_receiver_was_down_for_an_hour(bench: Bench) -> None:
    receiver = Receiver()
    endpoint, secret = add(bench, receiver.url)
    receiver.secrets.append(secret)
    sender = sender_of(bench)
    ids = set(end(bench, ENDINGS))
    for _ in range(60):  # an hour while the receiver is down
        bench.clock.go(HOUR_MS // 60)
        sender.wake()
    assert bench.ledger.webhooks.read()[0].state == "failing"
    receiver.lose_each = 50  # the receiver has acted, and the worker does not know it
    with receiver:
        drain(bench, sender)
        sender.stop(10)
    assert {event["data"]["id"] for event in receiver.events()} == ids
    assert len(receiver.effects) == ENDINGS
    assert receiver.received.total() > ENDINGS + 100
    assert (receiver.forged, bench.ledger.webhooks.read()[0].state) == (0, "active")
    assert {event["type"] for event in receiver.events()} == {"job.delivered"}
    assert bench.ledger.webhooks.failures(endpoint) == []


def test_worker_killed_between_post_and_settle_sends_the_same_id_again(bench: Bench) -> None:
    with Receiver() as receiver:
        endpoint, secret = add(bench, receiver.url)
        receiver.secrets.append(secret)
        [job_id] = end(bench, 1)
        killed = sender_of(bench)
        lease = bench.ledger.webhook_outbox.take(endpoint, 1)
        assert lease is not None
        found = bench.ledger.webhooks.get(endpoint)
        assert found is not None
        assert killed._send_all(found, lease)  # it posts, and is killed before it settles
        other = sender_of(bench)
        other.wake()
        bench.clock.go(61_000)
        drain(bench, other)
    assert list(receiver.received.values()) == [2]
    assert [event["data"]["id"] for event in receiver.events()] == [job_id]


def test_receiver_that_does_not_answer_delays_no_other(bench: Bench) -> None:
    dead = [Server(*[stalls()] * 50) for _ in range(5)]
    with Receiver() as receiver:
        for server in dead:
            server.__enter__()
            add(bench, server.url)
        _, secret = add(bench, receiver.url)
        receiver.secrets.append(secret)
        sender, before = sender_of(bench), threading.active_count()
        end(bench, 100)
        sender.wake()
        wait_until(lambda: len(receiver.effects) == 100)
        assert threading.active_count() < before + 50
        sender.wake()
        for server in dead:
            server.close()
        sender.stop(10)


def test_endpoint_removed_while_it_is_sent_to(bench: Bench) -> None:
    with Receiver() as receiver:
        endpoint, secret = add(bench, receiver.url)
        receiver.secrets.append(secret)
        receiver.hook = lambda _: bench.ledger.webhooks.drop(endpoint) and None
        end(bench, 3)
        sender = sender_of(bench)
        sender.wake()
        wait_until(lambda: len(receiver.received) >= 1)
        sender.stop(10)
    assert not [key for key in bench.client.scan_iter() if b"outbox" in key or b"webhook" in key]


@pytest.mark.parametrize(("status", "state"), [(302, "active"), (500, "active"), (410, "disabled")])
def test_refusal_is_recorded_and_retry_sends_it_again(bench: Bench, status: int, state: str) -> None:
    with Receiver() as receiver, Receiver() as elsewhere:
        endpoint, secret = add(bench, receiver.url)
        receiver.secrets.append(secret)
        receiver.status, receiver.location = status, elsewhere.url
        end(bench, 1)
        sender = sender_of(bench)
        assert not sender.send_some(endpoint)
        [event] = bench.ledger.webhooks.failures(endpoint)
        assert (event.error or "").startswith(f"HTTP {status}")
        assert bench.ledger.webhooks.read()[0].state in {state, "failing"}
        receiver.status = 204
        assert bench.ledger.webhooks.retry(endpoint) == 1
        assert sender.send_some(endpoint)
    assert (len(receiver.effects), list(receiver.received.values()), elsewhere.raw) == (1, [2], [])


def test_address_that_is_not_allowed_is_a_failure_and_gets_nothing(bench: Bench) -> None:
    with Receiver() as receiver:
        endpoint, _ = add(bench, receiver.url)
        end(bench, 1)
        made = Settings.given(redis_url="redis://127.0.0.1:1/0")
        sender = WebhookSender(bench.ledger, webhook_client(made, Region.EU))
        assert not sender.send_some(endpoint)
        [event] = bench.ledger.webhooks.failures(endpoint)
    assert (event.error, receiver.raw) == ("the address is not allowed (AddressRefused)", [])


def test_both_secrets_sign_while_one_is_rotated(bench: Bench) -> None:
    with Receiver() as receiver:
        endpoint, first = add(bench, receiver.url)
        second = new_secret()
        bench.ledger.webhooks.rotate(endpoint, second, 0, 2**60)
        end(bench, 2)
        sender = sender_of(bench)
        for receiver.secrets in ([first], [second]):
            lease = bench.ledger.webhook_outbox.take(endpoint, 1)
            found = bench.ledger.webhooks.get(endpoint)
            assert lease is not None
            assert found is not None
            [(_, became, _)] = sender._send_all(found, lease)
            assert became == "sent"


def test_outbox_and_endpoints_survive_a_new_worker_ledger(bench: Bench) -> None:
    endpoint, _ = add(bench, "https://receiver.example/")
    end(bench, 1)
    other = WorkerLedger(bench.client, Region.EU, Settings())
    assert (other.webhooks.read()[0].id, other.webhooks.read()[0].numbers.waiting) == (endpoint, 1)
