"""Whether a part works, for `/healthz`: a probe that asks the process itself, and starts no other one."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

STALE_S = 60.0
"""As old as a pulse may be for `gaugepost health`, too."""


@dataclass(frozen=True, slots=True)
class Health:
    """Whether a part is well, and why."""

    well: bool
    why: str


class Liveness:
    """When this process last showed that it works. Thread-safe.

    `does`: what a stuck one does no more. `redis_trouble` returns why Redis is away, if it is: a start anew would not
    bring it back, so such a part is well.
    """

    def __init__(self, does: str, redis_trouble: Callable[[], str | None] = lambda: None) -> None:
        self._does = does
        self._redis_trouble = redis_trouble
        self._renewed_at = time.monotonic()

    def renew(self) -> None:
        """Note that it works."""
        self._renewed_at = time.monotonic()

    def check(self, stale_s: float = STALE_S) -> Health:
        """Return how this process is."""
        age = time.monotonic() - self._renewed_at
        if age <= stale_s:
            return Health(well=True, why=f"last pulse {age:.1f} s ago")
        trouble = self._redis_trouble()
        if trouble is not None:
            return Health(well=True, why=f"Redis is away: {trouble}")
        return Health(well=False, why=f"does not {self._does} any more: last pulse {age:.0f} s ago")
