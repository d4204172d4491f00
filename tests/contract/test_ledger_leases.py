"""Check who may settle a claimed job: leases, fencing tokens, and what the rescuer gets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaugepost.transitions import Requeued, Streak
from gaugepost.verdict import Verdict
from support.factories import link, record, upload
from support.ledger_harness import LEASE_MS, Bench, breaker

if TYPE_CHECKING:
    from gaugepost.ledger import Claimed


def claimed_record(bench: Bench) -> Claimed:
    bench.put(record())
    return bench.claim()[-1]


def test_a_worker_that_lost_its_lease_changes_nothing(bench: Bench) -> None:
    late = claimed_record(bench)
    bench.clock.go(LEASE_MS)
    assert bench.settle(late, Requeued(), rescue=True)
    [current] = bench.claim(worker="w2")
    before = bench.truth()
    assert not bench.settle(late, hold=breaker(), streak=Streak("s", 1, breaker()))
    assert bench.truth() == before
    assert bench.settle(current)


def test_late_answer_counts_until_the_job_is_rescued(bench: Bench) -> None:
    late = claimed_record(bench)
    bench.clock.go(10 * LEASE_MS)
    assert bench.settle(late)
    assert bench.ledger.ended_leases() == []


def test_the_rescuer_is_refused_while_the_lease_lives(bench: Bench) -> None:
    claimed = claimed_record(bench)
    bench.clock.go(LEASE_MS - 1)
    assert bench.ledger.ended_leases() == []
    assert not bench.settle(claimed, Requeued(), rescue=True)
    bench.clock.go(1)
    assert bench.settle(claimed, Requeued(), rescue=True)


def test_a_renewed_lease_lasts_longer_and_a_lost_one_is_not_renewed(bench: Bench) -> None:
    bench.put(record(), record())
    one, two = bench.claim()
    bench.clock.go(LEASE_MS - 1)
    assert bench.ledger.renew([one]) == [True]
    bench.clock.go(1)
    assert [lost.claimed.id for lost in bench.ledger.ended_leases()] == [two.id]
    assert bench.settle(two, Requeued(), rescue=True)
    assert bench.ledger.renew([one, two]) == [True, False]
    bench.settle(one)
    assert bench.ledger.renew([one]) == [False]


def test_ended_leases_have_what_the_rescuer_needs(bench: Bench) -> None:
    bench.put(record(), link(on_unknown="hold"), upload())
    claimed = {one.job.kind: one for one in bench.claim()}
    assert bench.ledger.mark(claimed["file"]) == (1, 0)
    bench.clock.go(LEASE_MS)
    lost = {one.claimed.job.kind: (one.once, one.marked) for one in bench.ledger.ended_leases()}
    assert lost == {"record": (False, False), "personal_link": (True, False), "file": (True, True)}
    assert {one.claimed.id: one.claimed for one in bench.ledger.ended_leases()} == {
        one.id: one for one in claimed.values()
    }


def test_a_mark_of_an_earlier_claim_is_no_mark(bench: Bench) -> None:
    bench.put(link(on_unknown="hold"))
    [first] = bench.claim()
    bench.ledger.mark(first)
    bench.settle(first, Requeued())
    bench.claim()
    bench.clock.go(LEASE_MS)
    assert [lost.marked for lost in bench.ledger.ended_leases()] == [False]


def test_lost_probe_is_reported_as_a_probe(bench: Bench) -> None:
    bench.put(record())
    bench.settle(bench.claim()[0], Requeued(), hold=breaker())
    bench.clock.go(15_000)
    [probe] = bench.claim()
    bench.clock.go(LEASE_MS)
    [lost] = bench.ledger.ended_leases()
    assert (lost.claimed.probe, lost.claimed.probe_verdict) == ("", Verdict.SERVER_ERROR)
    assert lost.claimed == probe
