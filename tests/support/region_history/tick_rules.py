"""Ticks and time in a random history."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
from hypothesis.stateful import rule

from gaugepost.ledger import Settlement
from gaugepost.transitions import Decision, Parked, Requeued, Unknown
from support.ledger_harness import LEASE_MS, SLOT_MS
from support.region_history.model import RegionHistory


class TickRules(RegionHistory):
    """Ticks run, and the clock moves or steps."""

    @rule(how=st.sampled_from([Requeued(), Parked(20_000, "lost_answer"), Unknown("answer lost")]))
    def rescue(self, how: Any) -> None:
        lost = [one.claimed for one in self.bench.ledger.ended_leases()]
        assert self.bench.ledger.settle([Settlement(one, Decision(how)) for one in lost], rescue=True) == [True] * len(
            lost
        )
        for claimed in lost:
            assert self.jobs[claimed.id].holder is not None
            self.jobs[claimed.id].holder = None

    @rule()
    def promote(self) -> None:
        self.bench.ledger.promote()
        self.bench.ledger.open_slot()

    @rule()
    def sweep(self) -> None:
        self.bench.ledger.sweep()

    @rule(ms=st.sampled_from([1, 1000, 20_000, LEASE_MS, 300_000, SLOT_MS, 3_600_000]))
    def time_passes(self, ms: int) -> None:
        self.bench.clock.go(ms)
        self.latest_ms = max(self.latest_ms, self.bench.clock.ms)

    @rule(ms=st.sampled_from([1, 5_000, SLOT_MS, 86_400_000]))
    def the_clock_steps_back(self, ms: int) -> None:
        self.bench.clock.step(-ms)

    @rule(ms=st.sampled_from([5_000, LEASE_MS, 86_400_000]))
    def the_clock_steps_forward(self, ms: int) -> None:
        self.bench.clock.step(ms)
        self.latest_ms = max(self.latest_ms, self.bench.clock.ms)
        self.slot_starts.clear()  # the ledger restarts its measurement
