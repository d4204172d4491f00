"""A worker that cannot renew its leases begins nothing more: the job may be somebody else's by then."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis

from gaugepost import CloseLoop, Region, Settings
from gaugepost.ledger import Claimed, Entry, Ledger, Settlement
from gaugepost.transitions import Decision, Delivered
from gaugepost_workers.executor import Executor
from support.proxy import Proxy
from support.wait import wait_until

SETTINGS = {"connect_timeout": 0.1, "read_timeout": 0.1, "lease": 4.5}


class Nobody:
    def claimed(self, jobs: Any) -> None: ...

    def settled(self, settlements: Any) -> None: ...


def ledger(url: str) -> Ledger:
    return Ledger(redis.Redis.from_url(url), Region.EU, Settings(redis_url=url, **SETTINGS))


@pytest.fixture
def proxy(redis_url: str) -> Iterator[Proxy]:
    with Proxy(urlsplit(redis_url).port or 0) as proxy:
        yield proxy


def test_a_job_whose_lease_ran_out_while_it_waited_its_turn_is_not_sent_under_it(redis_url: str, proxy: Proxy) -> None:
    there = ledger(redis_url)
    jobs = [CloseLoop(region=Region.EU, number_customergauge=str(n), status="open") for n in (1, 2)]
    first, second = (accepted.id for accepted in there.enqueue([Entry.of(job) for job in jobs]))
    sent: list[tuple[str, int]] = []
    begun, over = threading.Event(), threading.Event()

    def deliver(claimed: Claimed) -> Settlement:
        sent.append((claimed.id, claimed.fence))
        begun.set()
        assert over.wait(30)
        return Settlement(claimed, Decision(Delivered()))

    far = ledger(f"redis://127.0.0.1:{proxy.port}/0")
    worker = Executor(far, deliver, Nobody(), worker="w1", concurrency=1, lease_s=SETTINGS["lease"])
    wheel = threading.Thread(target=worker.run)
    wheel.start()
    assert begun.wait(30)
    proxy.refuse()
    proxy.cut()
    wait_until(lambda: len(there.ended_leases()) == 2, what="both leases have ended")
    over.set()
    proxy.accept()
    wait_until(lambda: there.read([second])[0].has_ended)
    worker.stop()
    wheel.join(30)
    assert not wheel.is_alive()
    assert sent == [(first, 1), (second, 2)], "the second one was given back, and claimed anew"
