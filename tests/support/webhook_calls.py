"""Short calls for tests of webhooks over a `Bench`."""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from gaugepost import Region, Settings
from gaugepost.ledger.webhook_outbox import Became, Lease
from gaugepost.ledger.webhook_records import Endpoint, OutboxEvent, new_endpoint_id, new_secret
from gaugepost_workers.webhooks.sender import WebhookSender, webhook_client
from support.factories import record

if TYPE_CHECKING:
    from support.ledger_harness import Bench

URL = "https://receiver.example/hook"
LOOPBACK = (ip_network("127.0.0.0/8"),)


def add(bench: Bench, *events: str, url: str = URL, secret: str | None = None, **more: Any) -> str:
    """Add an endpoint; return its id."""
    endpoint = Endpoint(new_endpoint_id(), url, events, ("eu",), **more)
    assert bench.ledger.webhooks.put(endpoint, secret or new_secret())
    return endpoint.id


def read_one(bench: Bench) -> Endpoint:
    """Return the only endpoint, with its numbers."""
    [found] = bench.ledger.webhooks.read()
    return found


def take(bench: Bench, endpoint: str, most: int = 1000) -> list[OutboxEvent]:
    lease = bench.ledger.webhook_outbox.take(endpoint, most)
    return [] if lease is None else list(lease.events)


def lease_of(bench: Bench, endpoint: str, most: int = 1) -> Lease:
    lease = bench.ledger.webhook_outbox.take(endpoint, most)
    assert lease is not None
    return lease


def settle(bench: Bench, lease: Lease, became: Became, error: str = "HTTP 500") -> str:
    rows = [(event.id, became, "" if became is Became.SENT else error) for event in lease.events]
    return bench.ledger.webhook_outbox.settle(lease, rows)


def end_one(bench: Bench, **more: Any) -> str:
    """End a job; return its id."""
    [job_id] = bench.put(record(**more))
    [claimed] = bench.claim()
    assert bench.settle(claimed)
    return job_id


def sender_of(bench: Bench, **settings: float) -> WebhookSender:
    """Return the sender of a worker that uses the clock of the bench."""
    made = Settings.given(redis_url="redis://127.0.0.1:1/0", webhook_networks=LOOPBACK, **settings)
    return WebhookSender(bench.ledger, webhook_client(made, Region.EU))
