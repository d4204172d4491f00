"""Refuse a credential: only jobs that need it wait, and a worker that alone has a wrong one ends."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gaugepost import JobState, Record, Region, Response
from gaugepost.client import Receipt
from gaugepost.jobs import AnyJob
from support.stack import Stack
from support.wait import wait_until

SETTING = {"oauth": "GAUGEPOST_EU_CLIENT_SECRET", "api_key": "GAUGEPOST_EU_API_KEY"}
REFUSED_AT = {"oauth": "token", "api_key": "responses"}


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with Stack(tmp_path) as stack:
        stack.beat()
        yield stack


def job(need: str, i: int) -> AnyJob:
    if need == "api_key":
        return Response(region=Region.EU, fields={"Email": f"person{i}@example.net"}, net_promoter_score=9)
    return Record(region=Region.EU, configuration=f"multi-object-{i % 3}", record={"Email": f"person{i}@example.net"})


def enqueue(stack: Stack, need: str, many: int) -> list[Receipt[Any]]:
    return [stack.producer.enqueue(job(need, i)) for i in range(many)]


def all_delivered(jobs: list[Receipt[Any]]) -> bool:
    return all(job.state() is JobState.DELIVERED for job in jobs)


def worker_with_a_wrong(stack: Stack, need: str) -> subprocess.Popen[bytes]:
    right = stack.variables[SETTING[need]]
    stack.variables[SETTING[need]] = "wrong"
    try:
        return stack.worker()
    finally:
        stack.variables[SETTING[need]] = right


@pytest.mark.parametrize(("need", "other"), [("api_key", "oauth"), ("oauth", "api_key")])
def test_refused_credential_holds_only_its_jobs_until_a_worker_has_another(stack: Stack, need: str, other: str) -> None:
    worker = worker_with_a_wrong(stack, need)
    waiting = enqueue(stack, need, 20)
    ledger = stack.producer.ledger(Region.EU)
    hold = wait_until(lambda: ledger.holds().get(f"credentials:{need}"), what="the jobs that need it are held")
    going = enqueue(stack, other, 100)
    wait_until(lambda: all_delivered(going), what="the others are delivered")
    assert set(ledger.holds()) == {f"credentials:{need}"}
    assert " (credential " in hold.reason
    assert "wrong" not in hold.reason
    worker.terminate()
    worker.wait(60)
    stack.worker()
    wait_until(lambda: all_delivered(waiting), what="all are delivered")
    assert ledger.holds() == {}


@pytest.mark.parametrize("need", ["oauth", "api_key"])
def test_worker_with_a_wrong_credential_beside_a_right_one_stops_itself(stack: Stack, need: str) -> None:
    stack.worker()
    jobs = enqueue(stack, need, 5)
    wait_until(lambda: all_delivered(jobs), what="the right credential is known to be")
    wrong = worker_with_a_wrong(stack, need)

    def has_ended() -> bool:
        jobs.extend(enqueue(stack, need, 20))
        return wrong.poll() is not None

    wait_until(has_ended, what="the wrong one ends")
    assert wrong.returncode == 1
    assert "worker stops: CustomerGauge refuses its credential" in stack.logs()
    wait_until(lambda: all_delivered(jobs), what="all are delivered")
    with stack.redis.client() as client:
        assert client.hget("gaugepost:{eu}:token", "generation") in {b"1", None if need == "api_key" else b"1"}
    assert stack.producer.ledger(Region.EU).holds() == {}


def test_worker_started_again_with_the_refused_credential_asks_nothing(stack: Stack) -> None:
    stack.worker()
    jobs = enqueue(stack, "oauth", 5)
    wait_until(lambda: all_delivered(jobs), what="the right credential is known to be")
    ledger = stack.producer.ledger(Region.EU)
    first = worker_with_a_wrong(stack, "oauth")
    wait_until(lambda: (jobs.extend(enqueue(stack, "oauth", 20)), first.poll() is not None)[1])
    stack.sim.fault("status", endpoint="token", code=503)
    assert worker_with_a_wrong(stack, "oauth").wait(60) == 1
    assert stack.sim.faults()[0]["hits"] == 0
    assert ledger.holds() == {}
