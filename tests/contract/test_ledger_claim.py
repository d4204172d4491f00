from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from gaugepost.ledger import WorkerLedger
from gaugepost.transitions import Held, HoldSpec, Parked, Phase, Requeued
from gaugepost.verdict import Verdict
from support.factories import MAPPING, case, file_delete, link, record, upload
from support.ledger_harness import HOUR_MS, LEASE_MS, NOON, SLOT_MS, Bench, breaker, mapping_hold

if TYPE_CHECKING:
    import redis


def soon(ms: int) -> datetime:
    return datetime.fromtimestamp((NOON + ms) / 1000, UTC)


def test_claim_order_is_urgent_then_retried_then_new_jobs(bench: Bench) -> None:
    first = bench.put(record(), record())
    [parked, taken] = bench.claim()
    bench.settle(parked, Parked(10, "x"))
    bench.settle(taken)
    rest, urgent = bench.put(record(), record()), bench.put(link(), link())
    bench.tick()
    assert bench.claim_ids() == [*urgent, first[0], *rest]


def test_retried_urgent_job_is_claimed_before_all_other_jobs(bench: Bench) -> None:
    plain, urgent = bench.put(record(), record()), bench.put(link())
    for claimed in bench.claim():
        bench.settle(claimed, Requeued())
    assert bench.claim_ids() == urgent + plain


def test_each_claim_has_a_higher_fencing_token(bench: Bench) -> None:
    bench.put(record())
    tokens = []
    for _ in range(3):
        [claimed] = bench.claim()
        tokens.append(claimed.fence)
        bench.settle(claimed, Requeued())
    assert tokens == [1, 2, 3]


def test_no_two_workers_get_one_job(bench: Bench) -> None:
    ids = bench.put(*(record() for _ in range(10)))
    taken = [bench.claim_ids(3, worker) for worker in ("w1", "w2", "w3", "w4", "w5")]
    assert [job_id for claim in taken for job_id in claim] == ids


def test_claim_reports_and_rings_for_the_jobs_it_leaves(bench: Bench) -> None:
    bench.put(*(record() for _ in range(5)))
    bench.client.delete("gaugepost.eu")
    assert bench.ledger.claim("w1", "t", 2).left == 3
    assert bench.bells() == 1


def test_repeated_claim_returns_the_same_jobs_tokens_and_a_full_lease(bench: Bench) -> None:
    bench.put(*(record() for _ in range(5)))
    first = bench.ledger.claim("w1", "t", 3)
    bench.clock.go(LEASE_MS - 1)
    assert bench.ledger.claim("w1", "t", 3) == first
    assert bench.truth().sets["leases"][first.jobs[0].id] == bench.clock.ms + LEASE_MS


def test_repeated_claim_omits_settled_jobs(bench: Bench) -> None:
    bench.put(record(), record())
    first = bench.claim(token="t")
    bench.settle(first[0])
    assert bench.claim(token="t") == [first[1]]


def test_repeated_claim_omits_jobs_of_another_worker(bench: Bench) -> None:
    bench.put(record())
    [mine] = bench.claim(worker="w1", token="t")
    bench.clock.go(LEASE_MS)
    assert bench.settle(mine, Requeued(), rescue=True)
    [theirs] = bench.claim(worker="w2")
    assert theirs.fence == mine.fence + 1
    assert bench.claim(worker="w1", token="t") == []


def test_a_repeated_call_gives_a_probe_as_a_probe(bench: Bench) -> None:
    bench.put(record())
    bench.settle(bench.claim()[0], Requeued(), hold=breaker())
    bench.clock.go(15_000)
    first = bench.claim(token="t")
    assert (first[0].probe, first[0].probe_verdict) == ("", Verdict.SERVER_ERROR)
    assert bench.claim(token="t") == first


def test_a_job_that_has_expired_is_not_claimed(bench: Bench) -> None:
    expired, other = bench.put(record(expires_at=soon(1000)), record())
    bench.clock.go(1000)
    assert bench.claim_ids() == [other]
    assert bench.state(expired) == "expired"


def test_next_job_after_an_expired_one_is_in_the_same_claim(bench: Bench) -> None:
    _, follower = bench.put(case(expires_at=soon(1000)), case())
    bench.clock.go(1000)
    assert bench.claim_ids() == [follower]


def test_cancelled_jobs_cost_a_claim_only_bounded_time(bench: Bench) -> None:
    ids = bench.put(*(record() for _ in range(200)))
    last = bench.put(record())
    bench.ledger.cancel(ids)
    claims = [bench.ledger.claim("w1", f"t{n}", 10) for n in range(3)]
    assert [len(claim.jobs) for claim in claims] == [0, 0, 1]
    assert [claim.left for claim in claims] == [101, 1, 0]
    assert claims[2].jobs[0].id == last[0]


def test_held_region_gives_no_jobs_and_they_show_the_reason(bench: Bench) -> None:
    ids = bench.put(record(), link(), upload())
    bench.ledger.hold("", "maintenance", "ops", NOON + HOUR_MS)
    assert bench.claim() == []
    assert bench.states(ids) == ["queued", "queued", "waiting"]
    view = bench.view(ids[0])
    assert (view.reason, view.until) == ("hold: maintenance", NOON + HOUR_MS)
    assert bench.view(ids[2]).reason == "hold: maintenance"


def test_held_region_resumes_when_the_hold_ends(bench: Bench) -> None:
    ids = bench.put(record())
    bench.ledger.hold("", "maintenance", "ops", NOON + HOUR_MS)
    bench.clock.go(HOUR_MS)
    assert bench.claim_ids() == ids
    assert bench.ledger.holds() == {}


def test_throttled_region_probes_once_with_the_job_that_was_refused(bench: Bench) -> None:
    bench.put(*(record() for _ in range(3)))
    refused = bench.claim()[1]
    bench.settle(refused, Requeued(), hold=HoldSpec("", "throttled", Verdict.THROTTLED, (15_000,)))
    bench.put(link(), upload())
    bench.clock.go(14_999)
    assert bench.claim() == []
    bench.clock.go(1)
    [probe] = bench.claim()
    assert (probe.id, probe.probe) == (refused.id, "")
    assert bench.claim(worker="w2") == []
    assert bench.claim(worker="w3") == []


def test_lost_probe_is_followed_by_another(bench: Bench) -> None:
    bench.put(record(), record())
    bench.settle(bench.claim(1)[0], Requeued(), hold=breaker())
    bench.clock.go(15_000)
    assert len(bench.claim()) == 1
    bench.clock.go(2 * LEASE_MS)
    assert len(bench.claim(worker="w2")) == 1


def test_probe_of_a_held_region_may_be_a_file(bench: Bench) -> None:
    [file_id] = bench.put(upload())
    bench.settle(bench.claim()[0], Requeued(), hold=breaker())
    bench.clock.go(15_000)
    [probe] = bench.claim()
    assert (probe.id, probe.probe) == (file_id, "")


@pytest.mark.parametrize("hold", [breaker(), HoldSpec("", "throttled", Verdict.THROTTLED, (15_000,))], ids=str)
def test_a_held_regions_probe_has_not_expired(bench: Bench, hold: HoldSpec) -> None:
    bench.put(record(), record(expires_at=soon(10_000)), record(expires_at=soon(10_000)), record())
    opener, *expiring, last = bench.claim()
    bench.settle(opener, Parked(HOUR_MS, "x"), hold=hold)
    for claimed in (*expiring, last):
        bench.settle(claimed, Requeued())
    bench.clock.go(15_000)
    assert [probe.id for probe in bench.claim()] == [last.id]
    assert bench.states([claimed.id for claimed in expiring]) == ["expired", "expired"]


@pytest.mark.parametrize("hold", [breaker(), HoldSpec("", "throttled", Verdict.THROTTLED, (15_000,))], ids=str)
def test_probe_of_a_held_region_avoids_a_held_mapping(bench: Bench, hold: HoldSpec) -> None:
    opener, held, other = bench.put(record(configuration="o"), record(), record(configuration="other"))
    claimed = {one.id: one for one in bench.claim()}
    bench.settle(claimed[opener], Parked(HOUR_MS, "x"), hold=hold)
    for job_id in (held, other):
        bench.settle(claimed[job_id], Requeued())
    bench.ledger.hold(f"configuration:{MAPPING}", "wait", "ops")
    bench.clock.go(15_000)
    assert bench.claim_ids() == [other]
    assert bench.state(held) == "parked"


def test_job_of_a_held_mapping_parks_and_others_are_claimed(bench: Bench) -> None:
    held, other = bench.put(record(), record(configuration="other"))
    bench.ledger.hold(f"configuration:{MAPPING}", "mapping is being changed", "ops")
    assert bench.claim_ids() == [other]
    view = bench.view(held)
    assert (view.state, view.reason, view.until) == ("parked", "mapping is being changed", None)


@pytest.mark.parametrize("scope", ["credentials:api_key", "credentials:oauth"])
def test_only_jobs_that_need_a_missing_credential_park(bench: Bench, scope: str) -> None:
    oauth, key, file_id = bench.put(record(), file_delete(), upload())
    bench.ledger.hold(scope, "EU_API_KEY is not set", "gaugepost")
    bench.claim()
    parked = {job_id for job_id in (oauth, key, file_id) if bench.state(job_id) == "parked"}
    assert parked == ({key, file_id} if scope.endswith("api_key") else {oauth})


def test_a_file_that_is_held_does_not_block_the_probe_behind_it(bench: Bench) -> None:
    first, second = bench.put(upload("a.csv"), upload("b.csv"))
    [claimed] = bench.claim()
    hold = HoldSpec("credentials:api_key", "no key", Verdict.REFUSED_CREDENTIALS, (60_000,))
    bench.settle(claimed, Held(hold.scope, hold.reason), hold=hold)
    assert bench.claim() == []
    assert bench.states([first, second]) == ["parked", "parked"]
    bench.tick(60_000)
    [probe] = bench.claim()
    assert (probe.id, probe.probe) == (first, "credentials:api_key")


def test_probe_not_claimed_in_time_becomes_an_ordinary_job(bench: Bench) -> None:
    first, second = bench.put(record(), record())
    one, two = bench.claim()
    bench.settle(one, Held(f"configuration:{MAPPING}", "unknown_mapping"), hold=mapping_hold(MAPPING))
    bench.settle(two, Held(f"configuration:{MAPPING}", "unknown_mapping"))
    bench.tick(300_000)
    bench.tick(2 * LEASE_MS)
    assert bench.states([first, second]) == ["queued", "queued"]
    assert [claimed.id for claimed in bench.claim()] == [second]
    assert bench.state(first) == "parked"


def test_probe_of_a_lifted_hold_is_claimed_as_an_ordinary_job(bench: Bench) -> None:
    bench.put(record())
    scope = f"configuration:{MAPPING}"
    bench.settle(bench.claim()[0], Held(scope, "unknown_mapping"), hold=mapping_hold(MAPPING))
    bench.tick(300_000)
    bench.ledger.resume(scope)
    [claimed] = bench.claim()
    assert claimed.probe is None
    bench.settle(claimed, Held(scope, "unknown_mapping"), hold=mapping_hold(MAPPING))
    bench.ledger.replay([claimed.id])
    assert bench.claim() == []


def test_a_file_is_claimed_only_while_the_slot_is_open(bench: Bench) -> None:
    first, second = bench.put(upload("a.csv"), upload("b.csv"))
    [claimed] = bench.claim()
    assert claimed.id == first
    assert bench.ledger.mark(claimed) == (1, 0)
    bench.settle(claimed)
    assert bench.claim() == []
    bench.clock.go(SLOT_MS - 1)
    assert bench.claim() == []
    bench.clock.go(1)
    assert bench.claim_ids() == [second]


def test_slow_upload_moves_the_next_slot_to_its_answer(bench: Bench) -> None:
    bench.put(upload("a.csv"), upload("b.csv"))
    [claimed] = bench.claim()
    bench.ledger.mark(claimed)
    bench.clock.go(20_000)
    bench.settle(claimed, Parked(60_000, "processing", Phase.PROCESSING))
    bench.clock.go(SLOT_MS - 1)
    assert bench.claim() == []
    bench.clock.go(1)
    assert len(bench.claim()) == 1


def test_file_does_not_overtake_one_about_to_take_the_slot(bench: Bench) -> None:
    first, second = bench.put(upload("a.csv"), upload("b.csv"))
    [claimed] = bench.claim(worker="w1")
    assert bench.claim(worker="w2") == []
    bench.settle(claimed, Requeued())
    assert bench.claim_ids(worker="w2") == [first]
    assert bench.state(second) == "waiting"


def test_a_file_comes_with_other_jobs_and_within_the_limit(bench: Bench) -> None:
    ids = bench.put(record(), record(), upload())
    assert bench.claim_ids(2) == [ids[2], ids[0]]


def test_an_earlier_job_of_its_lane_keeps_a_job_from_being_claimed(bench: Bench) -> None:
    first, second, third = bench.put(case(), case(), case())
    assert bench.claim_ids() == [first]
    assert bench.claim_ids() == []
    assert bench.states([second, third]) == ["waiting", "waiting"]


def test_claims_work_at_a_real_clock_too(client: redis.Redis) -> None:
    bench = Bench(client)
    bench.ledger = WorkerLedger(client, bench.ledger.region, bench.ledger._settings)
    ids = bench.put(record(), upload())
    assert set(bench.claim_ids()) == set(ids)
    assert bench.truth().faults == []
