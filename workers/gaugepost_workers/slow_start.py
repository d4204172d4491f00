"""Sends one job of a cold configuration first, and the others after its answer.

Without this, up to 100 requests would fail before a missing mapping is held. The other jobs go back to the ledger and
wait there (`lua/lib/slow_start.lua`), so they take no place in this worker. A configuration is *warm* when one of its
jobs was delivered lately, by any worker; otherwise it is *cold*.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gaugepost.errors import StoreError
from gaugepost.transitions import Delivered

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gaugepost.ledger import Claimed
    from gaugepost.transitions import Decision

_TRUST_S = 600.0
"""Seconds for which this worker remembers that a configuration is warm."""
_MAX_REMEMBERED = 10_000


class SlowStart:
    """Remembers the warm configurations, and the first job of each cold one. For one thread.

    `is_warm` asks the ledger about a configuration; `clock` returns monotonic seconds.
    """

    def __init__(self, is_warm: Callable[[str], bool], clock: Callable[[], float] = time.monotonic) -> None:
        self._ask = is_warm
        self._clock = clock
        self._warm_until: dict[str, float] = {}
        self._firsts: dict[str, str] = {}

    def waiting(self, jobs: Sequence[Claimed]) -> dict[str, str]:
        """Return the jobs that must wait: job id → id of the first job of its configuration."""
        behind, cold = {}, {mapping for mapping in map(_configuration_of, jobs) if mapping is not None}
        cold = {mapping for mapping in cold if not self._is_warm(mapping)}
        for claimed in jobs:
            if (mapping := _configuration_of(claimed)) in cold and mapping is not None:
                first = self._firsts.setdefault(mapping, claimed.id)
                if first != claimed.id:
                    behind[claimed.id] = first
        return behind

    def _is_warm(self, mapping: str) -> bool:
        now = self._clock()
        if now < self._warm_until.get(mapping, 0):
            return True
        try:
            warm = self._ask(mapping)
        except StoreError:
            return False
        if warm:
            self._remember(mapping, now)
        return warm

    def answered(self, claimed: Claimed, decision: Decision | None) -> bool:
        """Note a job's outcome (None: not sent). Return whether the ledger must mark its configuration warm."""
        mapping = claimed.job.mapping
        if mapping is None:
            return False
        if self._firsts.get(mapping) == claimed.id:
            del self._firsts[mapping]
        if decision is None or not isinstance(decision.transition, Delivered):
            return False
        now = self._clock()
        if now < self._warm_until.get(mapping, 0):
            return False
        self._remember(mapping, now)
        return True

    def forget_firsts(self) -> None:
        """Forget all first jobs. The dispatcher gave up its jobs after a fault, so no answer to them will come."""
        self._firsts.clear()

    def _remember(self, mapping: str, now: float) -> None:
        """Remember at most 10,000 configurations. The ledger is asked again about forgotten ones."""
        if len(self._warm_until) >= _MAX_REMEMBERED:
            self._warm_until.clear()
        self._warm_until[mapping] = now + _TRUST_S


def _configuration_of(claimed: Claimed) -> str | None:
    """Return the configuration to start slowly, None if there is none. A probe is a first job already."""
    return None if claimed.probe is not None else claimed.job.mapping
