"""One job's way through a delivery, by a clock that the test moves, to a server of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from gaugepost.testing import Memory
from gaugepost.transitions import Dead, Held, Requeued
from gaugepost.verdict import Verdict
from gaugepost_tasks.http import HttpClient
from gaugepost_workers.delivery import Delivery
from gaugepost_workers.lease import Lease
from support.factories import file_delete, record, upload
from support.faulty_server import Server, ok, says
from support.hand_clock import WALL, HandClock
from support.ledger_harness import Bench

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gaugepost.jobs import JobBase
    from gaugepost.ledger import Claimed, Settlement
    from gaugepost_workers.clock import Clock

LEASE_S = 90.0


class Way:
    """A delivery over the store in memory to a server of the test."""

    def __init__(self, server: Server, **credentials: str) -> None:
        self.server = server
        self.time = HandClock()
        base = server.url.removesuffix("/path")
        urls = {"auth_url": base, "imports_url": base, "api_url": base}
        self.bench = Bench(Memory().client, **urls, **credentials)
        self._http = HttpClient(5, 5, 1)

    def deliver(self, job: JobBase, clock: Clock | None = None) -> Settlement:
        self.bench.put(job)
        return self.send(self.bench.claim()[0], clock)

    def send(self, claimed: Claimed, clock: Clock | None = None) -> Settlement:
        lease = Lease(claimed, LEASE_S, self.time.now)
        delivery = Delivery(
            self.bench.ledger, self._http, self.bench.ledger._settings, clock=clock or self.time.clock()
        )
        return delivery.deliver(lease)


@pytest.fixture
def way() -> Iterator[Way]:
    """Return a way to a server that answers each request with 200."""
    with Server(*[ok(b"{}")] * 5) as server:
        yield Way(server, eu_api_key="key")


def lease_times(way: Way, *times: float | Exception) -> Clock:
    """Return the way's clock, whose `lease` gives these times one after another."""
    left = list(times)

    def now() -> float:
        found = left.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    return replace(way.time.clock(), lease=now)


def test_attempt_has_the_times_of_the_clock(way: Way) -> None:
    way.time.move(7)
    settlement = way.deliver(file_delete())
    [attempt] = settlement.attempts
    assert (attempt.n, attempt.at, attempt.status) == (1, int((WALL + 7) * 1000), 200)
    assert settlement.began == 7.0
    assert len(way.server.requests) == 1


def test_job_under_an_old_lease_is_given_back_unsent(way: Way) -> None:
    settlement = way.deliver(file_delete(), lease_times(way, 61.0))
    assert settlement.decision.transition == Requeued()
    assert settlement.attempts == ()
    assert way.server.requests == []


def test_file_whose_lease_grows_old_while_it_is_marked_is_not_sent(way: Way) -> None:
    settlement = way.deliver(upload(), lease_times(way, 0.0, 61.0))
    assert settlement.decision.transition == Requeued()
    assert way.server.requests == []


def test_fault_after_the_sending_mark_is_a_lost_answer(way: Way) -> None:
    before = way.deliver(upload(), lease_times(way, ValueError("a bug")))
    assert [attempt.verdict for attempt in before.attempts] == [Verdict.SERVER_ERROR]
    way.bench.settle(before.claimed)
    after = way.deliver(upload("april.csv"), lease_times(way, 0.0, ValueError("a bug")))
    assert [attempt.verdict for attempt in after.attempts] == [Verdict.LOST_ANSWER]
    assert way.server.requests == []


def test_job_whose_token_was_refused_is_sent_again_with_a_new_one() -> None:
    refused = says(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n")
    with Server(ok(b'{"access_token": "old"}'), refused, ok(b'{"access_token": "new"}'), ok(b"")) as server:
        settlement = Way(server, eu_client_id="id", eu_client_secret="secret").deliver(record())
    assert [(attempt.verdict, attempt.counted) for attempt in settlement.attempts] == [
        (Verdict.UNAUTHENTICATED, False),
        (Verdict.DELIVERED, True),
    ]
    assert [b"Bearer new" in request for request in server.requests] == [False, False, False, True]


def test_job_without_its_credential_names_the_setting_and_is_not_sent(way: Way) -> None:
    settlement = way.deliver(record())
    assert isinstance(settlement.decision.transition, Held)
    assert settlement.decision.transition.reason == "EU_CLIENT_ID is not set"
    assert way.server.requests == []


def test_file_whose_content_is_gone_is_dead(way: Way) -> None:
    way.bench.put(upload())
    [claimed] = way.bench.claim()
    way.bench.client.delete(f"gaugepost:{{eu}}:content:{claimed.id}")
    settlement = way.send(claimed)
    assert settlement.decision.transition == Dead(Verdict.BAD_FILE)
    assert way.server.requests == []
