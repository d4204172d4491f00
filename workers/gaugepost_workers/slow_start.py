"""A configuration starts slowly: one job of it first, the others after its answer.

A mapping that is missing would otherwise meet a whole parcel of requests before its hold stands.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gaugepost.transitions import Delivered

if TYPE_CHECKING:
    from collections.abc import Callable

    from gaugepost.ledger import Claimed
    from gaugepost.transitions import Decision

_WARM_S = 3_600.0


@dataclass
class Behind:
    """Jobs that may go now, and jobs to give back because their mapping is under a hold."""

    go: list[Claimed] = field(default_factory=list)
    give_back: list[Claimed] = field(default_factory=list)


class SlowStart:
    """Remembers which configurations this worker has seen deliver in the last hour. Used by one thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._delivered_at: dict[str, float] = {}
        self._behind: dict[str, list[Claimed]] = {}

    def admit(self, claimed: Claimed) -> bool:
        """Tell whether this job may go now; if not it waits here for the answer to the one before it."""
        mapping = claimed.job.mapping
        if mapping is None or claimed.probe is not None or self._is_warm(mapping):
            return True
        if mapping in self._behind:
            self._behind[mapping].append(claimed)
            return False
        self._behind[mapping] = []
        return True

    def _is_warm(self, mapping: str) -> bool:
        return self._clock() - self._delivered_at.get(mapping, float("-inf")) < _WARM_S

    def answered(self, claimed: Claimed, decision: Decision | None) -> Behind:
        """Note what came of a job (None: nothing, it was given up), and tell what becomes of those behind it."""
        mapping = claimed.job.mapping
        if mapping is None:
            return Behind()
        delivered = decision is not None and isinstance(decision.transition, Delivered)
        if delivered:
            self._delivered_at[mapping] = self._clock()
        waiting = self._behind.pop(mapping, [])
        if decision is not None and decision.hold is not None:
            return Behind(give_back=waiting)
        if delivered or not waiting:
            return Behind(go=waiting)
        self._behind[mapping] = waiting[1:]
        return Behind(go=waiting[:1])

    def all_behind(self) -> list[Claimed]:
        """Take out every job that waits here: the worker stops."""
        waiting = [claimed for jobs in self._behind.values() for claimed in jobs]
        self._behind.clear()
        return waiting
