"""Break the token endpoint under real workers: one failed request counts as one failure for all that wait."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from gaugepost import JobState, Record, Region, Response
from gaugepost.client import Receipt
from gaugepost.ledger import JobView
from support.proxy import Proxy
from support.stack import Stack, kill
from support.wait import wait_until

OAUTH = "credentials:oauth"


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with Stack(tmp_path, connect_timeout=2, read_timeout=5, lease=20) as stack:
        yield stack


@pytest.fixture
def to_tokens(stack: Stack) -> Iterator[Proxy]:
    """Put a proxy before the token endpoint alone."""
    with Proxy(urlsplit(stack.sim.url).port or 0) as proxy:
        url = stack.variables["GAUGEPOST_AUTH_URL"]
        stack.variables["GAUGEPOST_AUTH_URL"] = url.replace(f":{proxy.target_port}", f":{proxy.port}")
        yield proxy


def record(i: int) -> Record:
    return Record(region=Region.EU, configuration=f"multi-object-{i % 3}", record={"Email": f"person{i}@example.net"})


def response(i: int) -> Response:
    return Response(region=Region.EU, fields={"Email": f"person{i}@example.net"}, net_promoter_score=9)


def view(stack: Stack, job: Receipt[Any]) -> JobView:
    return stack.producer.job(job.id)


def verdicts(stack: Stack, jobs: list[Receipt[Any]]) -> set[str]:
    return {attempt.verdict for job in jobs for attempt in view(stack, job).history.attempts()}


def all_delivered(jobs: list[Receipt[Any]]) -> bool:
    return all(job.state() is JobState.DELIVERED for job in jobs)


def test_dropped_token_request_costs_no_job_a_try(stack: Stack, to_tokens: Proxy) -> None:
    to_tokens.lose_requests(1)
    jobs = [stack.producer.enqueue(record(i)) for i in range(40)]
    stack.worker()
    wait_until(lambda: all_delivered(jobs), what="all are delivered")
    assert to_tokens.requests_lost == 1
    assert verdicts(stack, jobs) == {"delivered"}
    assert stack.producer.ledger(Region.EU).holds() == {}


def test_unreachable_token_endpoint_holds_only_jobs_that_need_a_token(stack: Stack, to_tokens: Proxy) -> None:
    to_tokens.refuse()
    ledger = stack.producer.ledger(Region.EU)
    records = [stack.producer.enqueue(record(i)) for i in range(100)]
    stack.worker()
    stack.beat()
    wait_until(lambda: OAUTH in ledger.holds(), what="what needs a token is held")
    responses = [stack.producer.enqueue(response(i)) for i in range(20)]
    wait_until(lambda: all_delivered(responses), what="what needs no token is delivered")
    assert set(ledger.holds()) == {OAUTH}
    assert verdicts(stack, records) == set()
    assert ledger.holds()[OAUTH].reason.startswith("no token: connection refused")
    to_tokens.accept()
    wait_until(lambda: all_delivered(records), what="all are delivered")
    assert verdicts(stack, records) == {"delivered"}
    assert ledger.holds() == {}


def test_failed_token_requests_are_repeated_ever_more_slowly(stack: Stack) -> None:
    stack.sim.fault("status", endpoint="token", code=503)
    jobs = [stack.producer.enqueue(record(i)) for i in range(100)]
    for _ in range(2):
        stack.worker()
    stack.beat()
    ledger = stack.producer.ledger(Region.EU)

    def tries_slowly() -> bool:
        hold = ledger.holds().get(OAUTH)
        return hold is not None and (hold.probe_at or 0) - hold.since > 7_000

    wait_until(tries_slowly, what="the next request waits for seconds")
    assert ledger.holds()[OAUTH].reason == "token endpoint: HTTP 503, Service Unavailable"
    assert int(stack.sim.faults()[0]["hits"]) <= 4
    assert verdicts(stack, jobs) == set()
    stack.sim.clear_faults()
    wait_until(lambda: all_delivered(jobs), what="all are delivered")


def test_reset_of_all_connections_at_once_holds_no_region(stack: Stack) -> None:
    ledger = stack.producer.ledger(Region.EU)
    messages: list[bytes] = []
    with Proxy(urlsplit(stack.sim.url).port or 0, on_request=messages.append) as proxy:
        for name in ("GAUGEPOST_IMPORTS_URL", "GAUGEPOST_API_URL"):
            stack.variables[name] = stack.variables[name].replace(f":{proxy.target_port}", f":{proxy.port}")
        stack.worker()
        stack.beat()
        stack.producer.enqueue(response(0)).result(timeout=60)
        stack.sim.knobs(latency_ms={"records": 1_000})
        jobs = [stack.producer.enqueue(record(i)) for i in range(64)]
        for job in jobs[:3]:
            job.result(timeout=60)  # each configuration has delivered: now all threads send
        messages.clear()
        wait_until(lambda: sum(message.startswith(b"PUT") for message in messages) >= 16, what="16 records are sent")
        assert proxy.cut() >= 8
        wait_until(lambda: "lost_answer" in verdicts(stack, jobs), what="a lost answer is on a record")
        assert ledger.holds() == {}
        wait_until(lambda: all_delivered(jobs), what="all are delivered")


def test_worker_killed_while_it_fetches_a_token_does_not_stop_the_others(tmp_path: Path) -> None:
    with Stack(tmp_path) as stack:  # with the default timeouts: they are what the others waited for
        stack.sim.knobs(latency_ms={"token": 60_000})
        stack.producer.enqueue(record(0))
        first = stack.worker()
        wait_until(lambda: stack.redis.client().exists("gaugepost:{eu}:token_lock"), what="a worker fetches a token")
        kill(first)
        stack.sim.knobs(latency_ms={"token": 0})
        stack.worker()
        job = stack.producer.enqueue(record(1))
        wait_until(lambda: job.state() is JobState.DELIVERED, within=20, what="the other worker has fetched a token")
