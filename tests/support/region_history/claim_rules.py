"""Claims in a random history."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hypothesis.strategies as st
from hypothesis.stateful import precondition, rule

from support.ledger_harness import LEASE_MS
from support.region_history.model import FINAL, RegionHistory

if TYPE_CHECKING:
    from gaugepost.ledger import Claimed
    from support.ledger_truth import Truth

WORKERS = ("w1", "w2", "w3")


class ClaimRules(RegionHistory):
    """Workers claim jobs, and repeat calls."""

    @rule(worker=st.sampled_from(WORKERS), limit=st.integers(1, 5), urgent_only=st.integers(0, 5))
    def claim(self, worker: str, limit: int, urgent_only: int) -> None:
        self.calls += 1
        self._claim(worker, f"t{self.calls}", limit, urgent_only=urgent_only == 0)

    def _claim(self, worker: str, token: str, limit: int, *, urgent_only: bool = False) -> None:
        taken = self.bench.claim(limit, worker, token, urgent_only=urgent_only)
        after = self.bench.truth()
        self.last_claim[worker] = (token, limit, bool(taken))
        for claimed in taken:
            seen = self.jobs[claimed.id]
            assert seen.holder is None, "two live holders of one lease"
            assert claimed.fence > seen.fence, "a fencing token that does not rise"
            assert claimed.phase is seen.phase, "a sent file is looked up, and another is sent"
            self._check_lane(claimed.id, after)
            assert seen.due <= self.latest_ms, "a job left before its time"
            seen.fence, seen.holder = claimed.fence, claimed
            self._check_probe(claimed)
            self.given.append(claimed)

    def _check_probe(self, claimed: Claimed) -> None:
        """Check that each hold has one probe in flight, or that the one before is lost."""
        if claimed.probe is None:
            return
        before, until = self.probes.get(claimed.probe, (claimed, 0))
        assert self.jobs[before.id].holder in (None, claimed) or until <= self.bench.clock.ms, "two probes of one hold"
        self.probes[claimed.probe] = (claimed, self.bench.clock.ms + 2 * LEASE_MS)

    def _check_lane(self, job_id: str, after: Truth) -> None:
        me = self.jobs[job_id]
        if me.lane in {None, "files"}:
            return
        for other_id, other in self.jobs.items():
            if other.lane == me.lane and other.number < me.number and not other.replayed:
                assert after.state(other_id) in {None, "dead", *FINAL}, "a job overtook an earlier one of its lane"

    @precondition(lambda self: self.last_claim)
    @rule(data=st.data())
    def repeat_a_claim(self, data: st.DataObject) -> None:
        worker = data.draw(st.sampled_from(sorted(self.last_claim)))
        token, limit, took = self.last_claim[worker]
        if not took:  # a call that took nothing may as well take something now
            self._claim(worker, token, limit)
            return
        for claimed in self.bench.claim(limit, worker, token):
            assert claimed == self.jobs[claimed.id].holder, "a repeated call gave what it does not hold"
