"""The model that a random history of one region is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import redis
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant

from gaugepost.ledger import Entry
from gaugepost.transitions import Phase, Requeued
from support.ledger_harness import SLOT_MS, Bench

if TYPE_CHECKING:
    from gaugepost.ledger import Claimed

FINAL = {"delivered", "cancelled", "expired"}
FILE_CONTENT = b"Email\na@b.example\n"


@dataclass
class Seen:
    """What the test knows about a job from its own calls."""

    number: int
    lane: str | None
    due: int = 0
    """Unix time in ms of `deliver_at`; 0 without one."""
    fence: int = 0
    holder: Claimed | None = None
    settled_by: Claimed | None = None
    replayed: bool = False
    phase: Phase = Phase.NONE
    final: str | None = None


class RegionHistory(RuleBasedStateMachine):
    """A region's ledger, what the test knows about it, and what must hold at any time."""

    client: redis.Redis

    @initialize()
    def begin(self) -> None:
        self.client.flushall()
        self.client.connection_pool.disconnect()
        self.client.connection_pool.reset()  # the ledger of the history before has kept one of its connections
        self.bench = Bench(self.client, retention_delivered="1h", retention_dead="2h")
        self.jobs: dict[str, Seen] = {}
        self.keys: dict[str, str] = {}
        self.entries: list[Entry] = []
        self.given: list[Claimed] = []
        self.last_claim: dict[str, tuple[str, int, bool]] = {}
        self.slot_starts: dict[tuple[str, int], int] = {}
        self.sets: dict[str, str] = {}
        self.probes: dict[str, tuple[Claimed, int]] = {}
        self.calls = 0
        self.latest_ms = self.bench.clock.ms
        """The latest time that Redis' clock showed: from then on, a job that was due stays due."""

    def some(self, which: list[int]) -> list[str]:
        """Return the ids of some known jobs."""
        ids = list(self.jobs)
        return list({ids[number % len(ids)]: None for number in which})

    @invariant()
    def everything_fits_together(self) -> None:
        if not hasattr(self, "bench"):
            return
        truth = self.bench.truth()
        assert truth.faults == []
        for job_id, seen in self.jobs.items():
            state = truth.state(job_id)
            if seen.final:
                assert state in {seen.final, None}, "a final state was left"
            elif state is None:
                raise AssertionError("an accepted job is gone")
            elif state in FINAL | {"dead"}:
                seen.final = state if state in FINAL else None
            assert (state == "sending") == (seen.holder is not None)
        for scope in set(self.probes) - set(truth.hashes.get("holds", {})):
            del self.probes[scope]  # the hold it was for is gone

    def teardown(self) -> None:
        """Lift all holds and let time pass: every open job can still be delivered."""
        if not hasattr(self, "bench"):
            return
        self.bench.clock.go(100 * 86_400_000)  # further than the clock can have stepped back
        for _ in range(3 * len(self.jobs) + 3):
            for scope in self.bench.ledger.holds():
                self.bench.ledger.resume(scope)
            self.bench.clock.go(SLOT_MS)
            for lost in self.bench.ledger.ended_leases():
                self.bench.settle(lost.claimed, Requeued(), rescue=True)
            self.bench.ledger.promote()
            for claimed in self.bench.claim():
                if claimed.phase or self.bench.ledger.mark(claimed)[0] == 1:
                    self.bench.settle(claimed)
        states = {state for state in self.bench.states(list(self.jobs)) if state}
        assert states <= {"delivered", "dead", "unknown", "cancelled", "expired", "waiting"}
        blocked = {seen.lane for job_id, seen in self.jobs.items() if self.bench.state(job_id) == "unknown"}
        for job_id, seen in self.jobs.items():
            if self.bench.state(job_id) == "waiting":
                assert seen.lane in blocked, "a job waits, and nothing will ever move it"
