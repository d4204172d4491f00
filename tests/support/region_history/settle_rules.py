"""Outcomes and sending marks in a random history."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hypothesis.strategies as st
from hypothesis.stateful import precondition, rule

from gaugepost.ledger import Settlement
from gaugepost.transitions import (
    Dead,
    Decision,
    Delivered,
    Held,
    HoldSpec,
    Parked,
    Phase,
    Requeued,
    Resend,
    Streak,
    Unknown,
)
from gaugepost.verdict import Verdict
from support.ledger_harness import SLOT_MS, attempt, breaker, mapping_hold
from support.region_history.model import RegionHistory

if TYPE_CHECKING:
    from gaugepost.ledger import Claimed

_NO_KEY = HoldSpec("credentials:api_key", "no key", Verdict.REFUSED_CREDENTIALS, (60_000,))


def settlement_of(claimed: Claimed, what: str, answered: bool) -> Settlement:  # noqa: C901 - a case a decision
    """Return an outcome that a worker may settle for this job."""
    mapping = getattr(claimed.job, "configuration", None)
    tries = (attempt(claimed, Verdict.SERVER_ERROR if answered else Verdict.LOST_ANSWER),)
    match what:
        case "delivered":
            decision = Decision(Delivered({"a": 1}), ends_streaks=("server",))
            tries = (attempt(claimed, Verdict.DELIVERED),)
        case "parked":
            decision = Decision(Parked(20_000, "server_error"), streak=Streak("server", 3, breaker()))
        case "held" if mapping:
            held = Held(f"configuration:{mapping}", "unknown_mapping", 3_600_000)
            decision = Decision(held, counted=False, hold=mapping_hold(mapping))
            tries = (attempt(claimed, Verdict.UNKNOWN_MAPPING),)
        case "no_key" if claimed.job.needs == "api_key":
            decision, tries = Decision(Held(_NO_KEY.scope, "no key"), hold=_NO_KEY), ()
        case "followed" | "unclear" if claimed.job.kind == "file":
            phase = Phase.PROCESSING if what == "followed" else Phase.LOOKUP
            decision = Decision(Parked(20_000, phase.value, phase), counted=False)
        case "resend" if claimed.phase:
            decision, tries = Decision(Resend(), counted=False), ()
        case "throttled":
            throttle = HoldSpec("", "throttled", Verdict.THROTTLED, (30_000,))
            decision = Decision(Requeued(), counted=False, hold=throttle)
            tries = (attempt(claimed, Verdict.THROTTLED),)
        case "broken":
            decision = Decision(Requeued(), counted=False, hold=breaker())
        case "dead":
            decision = Decision(Dead(Verdict.INVALID_VALUE))
        case "unknown":
            decision = Decision(Unknown("answer lost"))
        case _:
            decision, tries = Decision(Requeued(), counted=False), ()
    return Settlement(claimed, decision, tries)


class SettleRules(RegionHistory):
    """Workers mark, renew and settle jobs, also some that they have lost."""

    @precondition(lambda self: self.given)
    @rule(
        which=st.integers(0, 10),
        what=st.sampled_from(
            [
                "delivered",
                "delivered",
                "delivered",
                "parked",
                "held",
                "followed",
                "followed",
                "unclear",
                "resend",
                "throttled",
                "broken",
                "no_key",
                "queued",
                "dead",
                "unknown",
            ]
        ),
        answered=st.booleans(),
        twice=st.booleans(),
    )
    def settle(self, which: int, what: str, answered: bool, twice: bool) -> None:
        """Settle mostly as the newest holder, and sometimes as one that lost the job long ago."""
        claimed = self.given[-1 - which % len(self.given)]
        seen = self.jobs[claimed.id]
        settlement = settlement_of(claimed, what, answered)
        times = 2 if twice else 1
        mine = seen.holder is claimed
        done = self.bench.ledger.settle([settlement] * times)
        assert not mine or done == [True, bool(settlement.attempts)][:times]  # repeated: known by its entry
        assert mine or not any(done) or (seen.settled_by is claimed and settlement.attempts)
        if mine:
            seen.holder, seen.settled_by = None, claimed
            match settlement.decision.transition:
                case Parked(phase=phase) if phase:
                    seen.phase = phase
                case Resend():
                    seen.phase = Phase.NONE

    @precondition(lambda self: self.given)
    @rule(which=st.integers(0, 10))
    def mark(self, which: int) -> None:
        claimed = self.given[-1 - which % len(self.given)]
        if claimed.phase:
            return  # the worker looks it up, and marks nothing
        held = self.jobs[claimed.id].holder is claimed
        before = self.bench.truth()
        done, wait = self.bench.ledger.mark(claimed)
        alive = held and before.sets["leases"][claimed.id] > self.bench.clock.ms
        assert (done >= 0) == alive
        if claimed.job.lane != "files" or done < 0:
            return
        if done == 0:
            assert 0 < wait <= SLOT_MS
            return
        mine, now = (claimed.id, claimed.fence), self.bench.clock.ms  # a repeated mark moves its own start
        others = [start for whose, start in self.slot_starts.items() if whose != mine]
        assert all(now - start >= SLOT_MS for start in others), "two slots within the interval"
        self.slot_starts[mine] = now

    @precondition(lambda self: self.given)
    @rule()
    def renew(self) -> None:
        assert self.bench.ledger.renew(self.given) == [self.jobs[one.id].holder is one for one in self.given]
