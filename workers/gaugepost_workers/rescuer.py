"""Takes back the jobs of lost workers: those whose lease has ended.

A job that must not go out twice and has no sending mark was not sent, so it is queued again. Any other job may have
been sent, so the policy for a lost answer decides. If the worker lives after all, the fencing token lets only the first
settlement through, the worker's or the rescuer's.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from gaugepost.ledger import Settlement
from gaugepost.transitions import Attempt, Decision, Requeued
from gaugepost.verdict import Verdict
from gaugepost_tasks.http_messages import Judgement
from gaugepost_tasks.policy import decide
from gaugepost_workers.observers.ledger_log import log_deaths
from gaugepost_workers.policy_facts import facts_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gaugepost.ledger import EndedLease, WorkerLedger

log = structlog.get_logger("gaugepost.rescue")

_MAX_STEPS = 25  # of 200 jobs each: 20,000 lost leases come back within four ticks, and no tick takes long

_LOST = Judgement(Verdict.LOST_ANSWER, "the worker that held it was lost")


def judge_lost(lost: EndedLease, schedules: dict[Verdict, tuple[float, ...]]) -> Settlement:
    """Decide what happens to one job whose lease ended. `schedules`: verdict → back-off delays in seconds."""
    claimed = lost.claimed
    if lost.once and not lost.marked:
        return Settlement(claimed, Decision(Requeued(), counted=False))
    decision = replace(decide(_LOST, facts_of(claimed, schedules)), streak=None)  # not a failure of CustomerGauge
    attempt = Attempt(
        n=claimed.history.last_n + 1,
        at=int(time.time() * 1000),
        ms=0,
        status=None,
        verdict=Verdict.LOST_ANSWER,
        message=_LOST.message,
        counted=decision.counted,
    )
    return Settlement(claimed, decision, (attempt,))


def rescue(
    ledger: WorkerLedger,
    schedules: dict[Verdict, tuple[float, ...]],
    on_rescued: Callable[[Sequence[Settlement]], None] | None = None,
) -> int:
    """Take back jobs whose lease has ended, at most 5,000, in short scripts; return how many.

    It stops when a script takes back nothing: then another rescuer is at the same jobs. `on_rescued` gets the
    settlements of each script. Raises StoreError.
    """
    rescued = 0
    for _ in range(_MAX_STEPS):
        settlements = [judge_lost(lost, schedules) for lost in ledger.ended_leases()]
        done = ledger.settle(settlements, rescue=True) if settlements else []
        taken = [settlement for settlement, ours in zip(settlements, done, strict=True) if ours]
        rescued += len(taken)
        log_deaths(taken)
        if on_rescued is not None and taken:
            on_rescued(taken)
        if not taken:
            break
    if rescued:
        log.warning("rescued", jobs=rescued)
    return rescued
