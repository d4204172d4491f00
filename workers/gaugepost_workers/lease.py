"""What this process knows of its lease on a job, without asking Redis.

A process can be frozen at any moment, for longer than a lease: SIGSTOP, a suspended host, a paused container. When it
continues, other workers may have delivered its jobs. So each sending checks its lease just before its first byte.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gaugepost.ledger import Claimed

_FRESH = 2 / 3
"""No sending begins under a lease that was last renewed longer ago than this part of it."""

# Linux stops its monotonic clock while the host is suspended; macOS does not, and has no other.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class LeaseOver(Exception):  # noqa: N818
    """Raised just before the first byte: the job may be another worker's by now, so nothing was sent."""


def lease_clock() -> float:
    """Return seconds of a clock that also advances while this process is stopped or its host is suspended."""
    return time.clock_gettime(_CLOCK)


@dataclass(slots=True)
class Lease:
    """The lease on one claimed job. `renewed_at`: `lease_clock()` before the call that claimed or last renewed it.

    One thread renews it, others read it.
    """

    claimed: Claimed
    length_s: float
    renewed_at: float
    lost: bool = False

    def is_over(self, now: float) -> bool:
        """Return whether another worker may hold the job by now, or will before a request begun now has an answer."""
        return self.lost or now - self.renewed_at > _FRESH * self.length_s

    def check(self) -> None:
        """Raise LeaseOver unless a request may begin now."""
        if self.is_over(lease_clock()):
            raise LeaseOver
