"""Check that a worker that cannot renew its leases sends no more: another worker may have the jobs by then."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis

from gaugepost import CloseLoop, Region, Settings
from gaugepost.jobs import JobBase
from gaugepost.ledger import Claimed, Entry, Settlement, WorkerLedger
from gaugepost.transitions import Dead, Decision, Delivered, Requeued
from gaugepost.verdict import Verdict
from gaugepost_simulator import Simulator
from gaugepost_tasks.http import HttpClient
from gaugepost_workers.delivery import Delivery
from gaugepost_workers.dispatcher import Dispatcher
from gaugepost_workers.lease import Lease, lease_clock
from support.factories import case, file_delete, link, record, response, upload
from support.proxy import Proxy
from support.wait import wait_until

SETTINGS = {"connect_timeout": 0.1, "read_timeout": 0.1, "lease": 4.5}


class SilentObserver:
    def claimed(self, jobs: Any) -> None: ...

    def settled(self, settlements: Any) -> None: ...


def ledger(url: str, **more: Any) -> WorkerLedger:
    return WorkerLedger(redis.Redis.from_url(url), Region.EU, Settings(redis_url=url, **SETTINGS | more))


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    with Simulator() as sim:
        yield sim


def delivery(there: WorkerLedger) -> Delivery:
    return Delivery(there, HttpClient(connect_timeout=1, read_timeout=4, pool_size=1), there._settings)


def credentials(sim: Simulator) -> dict[str, Any]:
    return {name.removeprefix("GAUGEPOST_").lower(): value for name, value in sim.env().items()}


def requests(sim: Simulator) -> int:
    """Count the requests at the simulator, except those for a token."""
    return sum(number for name, number in sim.state()["requests"].items() if ".token." not in name)


def claim(there: WorkerLedger, job: JobBase) -> Claimed:
    there.enqueue([Entry.of(job)])
    return there.claim("w1", "call", 1).jobs[0]


@pytest.fixture
def proxy(redis_url: str) -> Iterator[Proxy]:
    with Proxy(urlsplit(redis_url).port or 0) as proxy:
        yield proxy


def test_job_whose_lease_ends_while_it_waits_is_claimed_again(redis_url: str, proxy: Proxy) -> None:
    there = ledger(redis_url)
    jobs = [CloseLoop(region=Region.EU, number_customergauge=str(n), status="open") for n in (1, 2)]
    first, second = (accepted.id for accepted in there.enqueue([Entry.of(job) for job in jobs]))
    sent: list[tuple[str, int]] = []
    begun, over = threading.Event(), threading.Event()

    def deliver(lease: Lease) -> Settlement:
        claimed = lease.claimed
        sent.append((claimed.id, claimed.fence))
        begun.set()
        assert over.wait(30)
        return Settlement(claimed, Decision(Delivered()))

    far = ledger(f"redis://127.0.0.1:{proxy.port}/0")
    worker = Dispatcher(far, deliver, SilentObserver(), worker="w1", concurrency=1, lease_s=SETTINGS["lease"])
    thread = threading.Thread(target=worker.run)
    thread.start()
    assert begun.wait(30)
    proxy.refuse()
    proxy.cut()
    wait_until(lambda: len(there.ended_leases()) == 2, what="both leases have ended")
    over.set()
    proxy.accept()
    wait_until(lambda: there.read([second])[0].has_ended)
    worker.stop()
    thread.join(30)
    assert not thread.is_alive()
    assert sent == [(first, 1), (second, 2)], "the second one was given back, and claimed again"


@pytest.mark.parametrize(
    "job", [record(), link(), case(), response(), upload(), file_delete()], ids=lambda job: job.kind
)
def test_no_kind_is_sent_under_an_old_lease(redis_url: str, sim: Simulator, job: JobBase) -> None:
    sim.reset()
    there = ledger(redis_url, **credentials(sim))
    lease = Lease(claim(there, job), 90, renewed_at=lease_clock() - 61)
    assert delivery(there).deliver(lease).decision.transition == Requeued()
    assert requests(sim) == 0
    lease.renewed_at = lease_clock()
    assert delivery(there).deliver(lease).decision.transition != Requeued(), "a fresh one is sent"
    assert requests(sim) == 1


@pytest.mark.parametrize("job", [response(), upload()], ids=lambda job: job.kind)
def test_slow_sending_mark_sends_nothing_under_an_old_lease(
    redis_url: str, proxy: Proxy, sim: Simulator, job: JobBase
) -> None:
    sim.reset()
    claimed = claim(ledger(redis_url), job)
    far = ledger(f"redis://127.0.0.1:{proxy.port}/0", **credentials(sim))
    far.file_sets.content(claimed.id)  # connected
    proxy.delay(0.5)
    lease = Lease(claimed, 1.5, lease_clock() + (1 if job.kind == "file" else 0))  # its content is read first
    assert delivery(far).deliver(lease).decision.transition == Requeued()
    assert requests(sim) == 0


class FailsOnce(SilentObserver):
    """An observer whose error ends the dispatcher while its first job is in flight."""

    def __init__(self) -> None:
        self.failed = False

    def claimed(self, jobs: Any) -> None:
        if not self.failed:
            self.failed = True
            raise RuntimeError("a fault")


def test_no_job_waits_for_a_first_one_given_up_in_a_fault(redis_url: str) -> None:
    there = ledger(redis_url)
    first, second = (accepted.id for accepted in there.enqueue([Entry.of(record()), Entry.of(record())]))
    out = threading.Event()

    def deliver(lease: Lease) -> Settlement:
        if lease.claimed.id == first:
            out.wait(30)
        return Settlement(lease.claimed, Decision(Delivered()))

    worker = Dispatcher(there, deliver, FailsOnce(), worker="w1", concurrency=2, lease_s=SETTINGS["lease"])
    with pytest.raises(RuntimeError, match="a fault"):
        worker.run()
    wait_until(lambda: [lost.claimed.id for lost in there.ended_leases()] == [first], what="its lease has ended")
    [lost] = there.ended_leases()
    there.settle([Settlement(lost.claimed, Decision(Dead(Verdict.DUPLICATE)))], rescue=True)
    thread = threading.Thread(target=worker.run)
    thread.start()
    wait_until(lambda: there.read([second])[0].has_ended, within=20)
    worker.stop()
    out.set()
    thread.join(30)
