"""A configuration starts slowly: one job of it first, the others after its answer.

A mapping that is missing would otherwise meet a whole parcel of requests before its hold opens. The others go back to
the ledger, where they wait aside (`lua/lib/slow_start.lua`), so that they take no room here.
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
"""How long this worker trusts what it last exchanged with the ledger about a configuration."""
_MAX_REMEMBERED = 10_000


class SlowStart:
    """Remembers which configurations deliver, and which job of each other one goes first. Used by one thread."""

    def __init__(self, is_warm: Callable[[str], bool], clock: Callable[[], float] = time.monotonic) -> None:
        self._ask = is_warm
        self._clock = clock
        self._warm_until: dict[str, float] = {}
        self._firsts: dict[str, str] = {}

    def waiting(self, jobs: Sequence[Claimed]) -> dict[str, str]:
        """Return, by id, the jobs that have to wait, and the job that goes before each of them."""
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
        """Note what became of a job (None: nothing); return whether the ledger should hear that it delivers."""
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
        """Forget which jobs go first: the worker has given up all its jobs, so no answer to these will come here."""
        self._firsts.clear()

    def _remember(self, mapping: str, now: float) -> None:
        """Remember a bounded number: of what is forgotten the ledger is asked again."""
        if len(self._warm_until) >= _MAX_REMEMBERED:
            self._warm_until.clear()
        self._warm_until[mapping] = now + _TRUST_S


def _configuration_of(claimed: Claimed) -> str | None:
    """Return the configuration that has to start slowly with this job; a probe tests one already."""
    return None if claimed.probe is not None else claimed.job.mapping
