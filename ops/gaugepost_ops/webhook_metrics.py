"""The figures of webhooks for the exporter: endpoints by state, and what their outboxes hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gaugepost.ledger.webhook_records import Endpoint

STATES = ("active", "failing", "disabled")


@dataclass(frozen=True, slots=True)
class WebhookFigures:
    """The webhooks of one region.

    `share`: how full the fullest outbox is, from 0 to 1. `sealed`: endpoints whose secret workers cannot decrypt.
    """

    states: tuple[tuple[str, int], ...] = ()
    waiting: int = 0
    given_up: int = 0
    dropped: int = 0
    share: float = 0.0
    sealed: int = 0

    @classmethod
    def of(cls, endpoints: Sequence[Endpoint]) -> WebhookFigures:
        """Count the endpoints of a region."""
        numbers = [one.numbers for one in endpoints]
        states = tuple((state, sum(one.state == state for one in endpoints)) for state in STATES)
        return cls(
            states,
            sum(one.waiting for one in numbers),
            sum(one.given_up for one in numbers),
            sum(one.dropped for one in numbers),
            max((one.share for one in endpoints), default=0.0),
            sum(one.sealed_since is not None for one in numbers),
        )


_GAUGES = (
    ("webhook_events_waiting", "Events of webhooks that are not delivered", "waiting"),
    ("webhook_events_given_up", "Events of webhooks that failed for 3 days", "given_up"),
    ("webhook_events_dropped", "Events of webhooks dropped so far, because an outbox was full", "dropped"),
    ("webhook_outbox_share", "How full the fullest outbox of webhooks is: 1 is its limit", "share"),
    ("webhooks_sealed", "Endpoints of webhooks whose secret workers cannot decrypt", "sealed"),
)


def webhook_families(seen: Mapping[str, WebhookFigures]) -> Iterator[GaugeMetricFamily]:
    """Yield the metrics of the webhooks of all regions."""
    states = GaugeMetricFamily("gaugepost_webhooks", "Endpoints of webhooks by state", labels=("region", "state"))
    for region, of in seen.items():
        for state, number in of.states:
            states.add_metric((region, state), number)
    yield states
    for name, about, field in _GAUGES:
        family = GaugeMetricFamily(f"gaugepost_{name}", about, labels=("region",))
        for region, of in seen.items():
            family.add_metric((region,), getattr(of, field))
        yield family
