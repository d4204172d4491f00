"""Enqueue what a kept demo has beside the scenarios, so that a person sees jobs in all states in the first minute.

CustomerGauge takes 5 s for each row of a batch: for two minutes some rows are sent, and the others are queued.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from gaugepost.jobs import parse_job
from gaugepost_ops.demo import scenarios

if TYPE_CHECKING:
    from gaugepost.client import Producer

_AT_A_TIME = 4  # the concurrency of each worker of the demo
_SLOW_S = 5
_SHOWN_S = 120
_ROWS = _SHOWN_S // _SLOW_S * _AT_A_TIME


def enqueue_kept_jobs(producer: Producer) -> None:
    """Enqueue a batch of slow rows, two scheduled links, and a file for later."""
    source = scenarios.SLOW_BATCH
    rows = [parse_job(scenarios.slow_row(number, _SLOW_S) | {"source": source}) for number in range(_ROWS)]
    producer.enqueue_many(rows, batch=source)
    for scenario, hours in ((scenarios.REMINDER, 2), (scenarios.REMINDER, 26), (scenarios.LATER_FILE, 3)):
        deliver_at = datetime.now(UTC) + timedelta(hours=hours)
        producer.enqueue(parse_job({**scenario, "source": "demo", "deliver_at": deliver_at}))
