"""Whether this process works, for its own `/healthz`. A probe need not start another process to ask."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

STALE_S = 60.0
"""The greatest age of a heartbeat, in seconds. `gaugepost health` uses the same."""


@dataclass(frozen=True, slots=True)
class Health:
    """Whether a process is well, and why."""

    well: bool
    why: str


class Liveness:
    """When this process last showed that it works. Thread-safe.

    `does` completes "does not … any more". `redis_trouble` returns why Redis is away, or None. A process without Redis
    counts as well, because a restart would not bring Redis back.
    """

    def __init__(self, does: str, redis_trouble: Callable[[], str | None] = lambda: None) -> None:
        self._does = does
        self._redis_trouble = redis_trouble
        self._renewed_at = time.monotonic()

    def renew(self) -> None:
        self._renewed_at = time.monotonic()

    def check(self, stale_s: float = STALE_S) -> Health:
        """Return whether this process renewed its liveness in the last `stale_s` seconds."""
        age = time.monotonic() - self._renewed_at
        if age <= stale_s:
            return Health(well=True, why=f"last heartbeat {age:.1f} s ago")
        trouble = self._redis_trouble()
        if trouble is not None:
            return Health(well=True, why=f"Redis is away: {trouble}")
        return Health(well=False, why=f"does not {self._does} any more: last heartbeat {age:.0f} s ago")
