"""Check that every call refuses a transition that the state of the job forbids."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gaugepost.states import TRANSITIONS, JobState
from gaugepost.transitions import Dead, Delivered, Held, Parked, Requeued, Unknown
from gaugepost.verdict import Verdict
from support.factories import MAPPING, case, record
from support.ledger_harness import HOUR_MS, LEASE_MS, NOON, Bench, mapping_hold

SCOPE = f"configuration:{MAPPING}"


REACHED = {
    JobState.DELIVERED: lambda bench, claimed: bench.settle(claimed),
    JobState.DEAD: lambda bench, claimed: bench.settle(claimed, Dead(Verdict.DUPLICATE)),
    JobState.UNKNOWN: lambda bench, claimed: bench.settle(claimed, Unknown("x")),
    JobState.PARKED: lambda bench, claimed: bench.settle(claimed, Parked(HOUR_MS, "x")),
    JobState.SENDING: lambda bench, claimed: None,
    JobState.QUEUED: lambda bench, claimed: bench.settle(claimed, Requeued()),
    JobState.CANCELLED: lambda bench, claimed: bench.settle(claimed, Requeued()) and bench.ledger.cancel([claimed.id]),
}


@pytest.mark.parametrize("state", [*REACHED, JobState.WAITING, JobState.EXPIRED], ids=str)
def test_every_call_refuses_transitions_that_a_state_forbids(bench: Bench, state: JobState) -> None:
    """Make each call that changes a state from this one; it may change only what TRANSITIONS lists."""
    calls = {
        "cancel": lambda job_id: bench.ledger.cancel([job_id]),
        "replay": lambda job_id: bench.ledger.replay([job_id]),
        "resolve": lambda job_id: bench.ledger.resolve([job_id], JobState.DEAD),
        "delivered": lambda job_id: bench.settle(bench.held, Delivered()),
        "parked": lambda job_id: bench.settle(bench.held, Parked(1, "x")),
        "held": lambda job_id: bench.settle(bench.held, Held(SCOPE, "x"), hold=mapping_hold(MAPPING)),
        "dead": lambda job_id: bench.settle(bench.held, Dead(Verdict.DUPLICATE)),
        "unknown": lambda job_id: bench.settle(bench.held, Unknown("x")),
        "queued": lambda job_id: bench.settle(bench.held, Requeued()),
    }
    for name, call in calls.items():
        bench.client.flushall()
        bench.clock.set(NOON)
        job_id = _bring(bench, state)
        assert bench.state(job_id) == state
        call(job_id)
        after = bench.state(job_id)
        assert after is not None
        assert after == state or JobState(after) in TRANSITIONS[state], f"{name}: {state} to {after}"
        if state is not JobState.SENDING and name not in {"cancel", "replay", "resolve"}:
            assert after == state
        assert bench.truth().faults == []


def _bring(bench: Bench, state: JobState) -> str:
    if state is JobState.WAITING:
        _, job_id = bench.put(case(), case())
        [bench.held] = bench.claim()
        bench.held = type(bench.held)(job_id, 1, NOON, bench.held.job, bench.held.history)
        return job_id
    if state is JobState.EXPIRED:
        bench.put(record(expires_at=datetime.fromtimestamp((NOON + LEASE_MS) / 1000, UTC)))
        [bench.held] = bench.claim()
        bench.clock.go(LEASE_MS)
        bench.settle(bench.held, Requeued())
        bench.ledger.promote()
        return str(bench.held.id)
    bench.put(record())
    [bench.held] = bench.claim()
    REACHED[state](bench, bench.held)
    return str(bench.held.id)
