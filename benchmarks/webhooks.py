"""The part of webhooks in the measurement of scripts (`script_times.py`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaugepost.ledger.webhook_outbox import Became

if TYPE_CHECKING:
    from gaugepost.ledger import WorkerLedger

BATCH = 200


def send_webhooks(ledger: WorkerLedger) -> None:
    """Send events of an endpoint as a worker does, let some fail, and retry them."""
    webhooks, outbox = ledger.webhooks, ledger.webhook_outbox
    [endpoint, *_] = outbox.due()
    for became in (Became.SENT, Became.FAILED):
        lease = outbox.take(endpoint, BATCH)
        if lease is not None:
            outbox.settle(lease, [(event.id, became, "HTTP 500") for event in lease.events])
    webhooks.test(endpoint)
    webhooks.retry(endpoint)
    outbox.due()
