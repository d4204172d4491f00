"""Check fairness: a bulk load does not delay other sources, and a throttled region sends fewer jobs at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaugepost.transitions import HoldSpec, Parked, Requeued
from gaugepost.verdict import Verdict
from support.factories import link, record
from support.ledger_harness import LEASE_MS

if TYPE_CHECKING:
    from gaugepost.ledger import Claimed
    from support.ledger_harness import Bench

THROTTLED = {
    "verdict": Verdict.THROTTLED,
    "hold": HoldSpec("", "throttled", Verdict.THROTTLED, (30_000,)),
}


def sources(claim: list[Claimed]) -> list[str | None]:
    return [claimed.job.source for claimed in claim]


def test_each_claim_has_jobs_of_every_source(bench: Bench) -> None:
    bench.put(*(record(source="bulk") for _ in range(500)))
    bench.put(record(source="crm"), record(), record(source="crm"))
    claim = sources(bench.claim(100))
    assert len(claim) == 100
    assert (claim.count("crm"), claim.count(None)) == (2, 1)


def test_a_source_keeps_the_order_in_which_it_enqueued(bench: Bench) -> None:
    ids = {source: bench.put(*(record(source=source) for _ in range(150))) for source in ("a", "b", "c")}
    taken = [claimed for _ in range(9) for claimed in bench.claim(50)]
    for source, enqueued in ids.items():
        assert [claimed.id for claimed in taken if claimed.job.source == source] == enqueued


def test_late_source_waits_for_one_claim_at_most(bench: Bench) -> None:
    bench.put(*(record(source=f"s{n}") for n in range(20) for _ in range(30)))
    bench.claim(10)
    [late] = bench.put(record(source="late"))
    assert late in [claimed.id for _ in range(3) for claimed in bench.claim(10)]


def test_urgent_jobs_of_all_sources_go_before_all_others(bench: Bench) -> None:
    bench.put(*(record(source="bulk") for _ in range(50)))
    bench.put(*(link(source="links") for _ in range(50)))
    [other] = bench.put(link(source="crm"))
    claim = bench.claim(10)
    assert all(claimed.job.urgent for claimed in claim)
    assert other in [claimed.id for claimed in claim]


def test_retried_jobs_leave_half_of_a_claim_to_new_ones(bench: Bench) -> None:
    bench.put(*(record(source="bulk") for _ in range(40)))
    for claimed in bench.claim(40):
        bench.settle(claimed, Parked(1_000, "server_error"))
    bench.tick(2_000)
    bench.put(*(record(source="crm") for _ in range(10)))
    assert sources(bench.claim(20)) == ["bulk"] * 10 + ["crm"] * 10
    assert len(bench.claim(100)) == 30


def test_a_claim_of_urgent_jobs_only_leaves_the_others(bench: Bench) -> None:
    bench.put(record(), link(), record())
    assert [claimed.job.kind for claimed in bench.claim(10, urgent_only=True)] == ["personal_link"]
    assert bench.claim(10, urgent_only=True) == []
    assert len(bench.claim(10)) == 2


def throttle(bench: Bench, claimed: Claimed) -> None:
    bench.settle(claimed, Requeued(), counted=False, **THROTTLED)
    bench.ledger.resume("")


def test_throttling_halves_the_concurrency_of_the_region(bench: Bench) -> None:
    bench.put(*(record() for _ in range(200)))
    [first, *others] = bench.claim(32, worker="w1", concurrency=16)
    bench.claim(1, worker="w2", concurrency=16)
    throttle(bench, first)
    assert bench.ledger.summary()["concurrency_limit"] == 16
    assert bench.claim(100) == [], "32 are out still"
    for claimed in others[:20]:
        bench.settle(claimed, Parked(60_000, "server_error"))
    assert len(bench.claim(100)) == 4, "12 were out"


def test_many_answers_of_one_throttling_halve_the_concurrency_once(bench: Bench) -> None:
    bench.put(*(record() for _ in range(50)))
    for claimed in bench.claim(10, concurrency=16):
        bench.settle(claimed, Requeued(), counted=False, **THROTTLED)
    assert bench.ledger.summary()["concurrency_limit"] == 8


def test_a_probe_that_is_throttled_again_halves_it_again_down_to_one(bench: Bench) -> None:
    bench.put(*(record() for _ in range(50)))
    bench.settle(bench.claim(1, concurrency=16)[0], Requeued(), counted=False, **THROTTLED)
    limits = []
    for _ in range(5):
        bench.clock.go(31_000)
        [probe] = bench.claim(10, concurrency=16)
        bench.settle(probe, Requeued(), counted=False, **THROTTLED)
        limits.append(bench.ledger.summary()["concurrency_limit"])
    assert limits == [4, 2, 1, 1, 1]


def test_concurrency_grows_by_one_per_full_round_of_deliveries(bench: Bench) -> None:
    bench.put(*(record() for _ in range(100)))
    throttle(bench, bench.claim(1, concurrency=8)[0])
    limits = []
    for _ in range(4 + 5 + 6 + 7):
        bench.settle(bench.claim(1, concurrency=8)[0])
        limits.append(bench.ledger.summary()["concurrency_limit"])
    assert limits == [4] * 3 + [5] * 5 + [6] * 6 + [7] * 7 + [None]


def test_bell_does_not_ring_while_the_concurrency_limit_is_reached(bench: Bench) -> None:
    bench.put(*(record() for _ in range(100)))
    throttle(bench, bench.claim(1, concurrency=4)[0])
    held = bench.claim(100, concurrency=4)
    assert len(held) == 2
    bench.client.delete("gaugepost.eu")
    claim = bench.ledger.claim("w2", "other", 100, 4)
    assert (claim.jobs, claim.left, bench.bells()) == ([], 0, 0)
    bench.clock.go(300)  # no worker is known to be awake
    bench.settle(held[0])
    assert bench.bells() == 1, "a slot is free again: the bell rings"


def test_stopped_worker_does_not_count(bench: Bench) -> None:
    bench.put(*(record() for _ in range(100)))
    bench.claim(1, worker="gone", concurrency=100)
    bench.clock.go(3 * LEASE_MS)
    throttle(bench, bench.claim(1, worker="w1", concurrency=10)[0])
    assert bench.ledger.summary()["concurrency_limit"] == 5
    bench.clock.go(3 * LEASE_MS)
    bench.ledger.sweep()
    assert bench.truth().hashes.get("workers") is None


def test_repeated_settlement_returns_the_first_outcome(bench: Bench) -> None:
    bench.put(record())
    [claimed] = bench.claim()
    assert bench.settle(claimed, verdict=Verdict.DELIVERED)
    assert bench.settle(claimed, verdict=Verdict.DELIVERED), "the same again"
    assert not bench.settle(claimed, verdict=Verdict.SERVER_ERROR), "another one"
