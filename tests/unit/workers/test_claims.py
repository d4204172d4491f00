"""Claims of a worker while Redis is reachable and while it is not. The store in memory replaces Redis."""

from __future__ import annotations

from gaugepost.testing import Memory
from gaugepost_workers.claims import Claims
from support.factories import record
from support.hand_clock import HandClock
from support.ledger_harness import Bench

LEASE_S = 90.0


def test_claim_returns_jobs_and_whether_there_are_more() -> None:
    bench, time = Bench(Memory().client), HandClock()
    bench.put(*(record() for _ in range(3)))
    time.move(5)
    claims = Claims(bench.ledger, "w1", 4, LEASE_S, time.clock())
    claim = claims.claim(2)
    assert claim is not None
    assert (len(claim.jobs), claim.more, claim.asked_at) == (2, True, 5.0)
    time.move(3)
    assert claims.age() == 3.0
    assert (last := claims.claim(2)) is not None
    assert (len(last.jobs), last.more) == (1, False)


def test_claim_without_an_answer_may_hold_jobs_for_one_lease() -> None:
    memory, time = Memory(), HandClock()
    bench = Bench(memory.client)
    claims = Claims(bench.ledger, "w1", 4, LEASE_S, time.clock())
    assert not claims.may_hold_jobs()
    memory.set_reachable(yes=False)
    assert claims.claim(2) is None
    time.move(LEASE_S - 1)
    assert claims.claim(2) is None, "a second failure does not start the time again"
    assert claims.may_hold_jobs()
    time.move(1)
    assert not claims.may_hold_jobs()
    memory.set_reachable(yes=True)
    assert claims.claim(2) is not None
    memory.set_reachable(yes=False)
    assert claims.claim(2) is None
    assert claims.may_hold_jobs()
