"""Check the circuit breaker with real workers: failures of some jobs do not hold the region."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gaugepost import JobState, Record, Region
from gaugepost.client import Receipt
from support.stack import Stack
from support.wait import wait_until

QUICK = ",".join(["0.2s"] * 8)


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    settings = {"connect_timeout": 1, "read_timeout": 2, "lease": 4, "backoff__server_error": QUICK}
    with Stack(tmp_path, **settings) as stack:
        stack.sim.fault("status", code=500, contains="poison")
        stack.beat()
        stack.worker()
        yield stack


def record(name: str, configuration: str = "multi-object") -> Record:
    return Record(region=Region.EU, configuration=configuration, record={"Email": f"{name}@example.net"})


def tries(job: Receipt[Any]) -> int:
    return sum(entry["event"] == "attempt" for entry in job.timeline())


def test_one_job_that_always_fails_dies_and_never_holds_its_region(stack: Stack) -> None:
    poison = stack.producer.enqueue(record("poison"))
    wait_until(lambda: poison.state() is JobState.DEAD, what="the poison job is dead")
    assert tries(poison) == 9
    assert stack.producer.ledger(Region.EU).holds() == {}


def test_breaker_opened_by_one_configuration_is_probed_with_another(stack: Stack) -> None:
    for n in range(3):
        stack.producer.enqueue(record(f"poison{n}", "survey-data"))
    ledger = stack.producer.ledger(Region.EU)
    wait_until(lambda: "" in ledger.holds(), what="the breaker is open")
    good = [stack.producer.enqueue(record(f"good{n}")) for n in range(100)]
    wait_until(lambda: all(job.state() is JobState.DELIVERED for job in good), what="good jobs are delivered")
