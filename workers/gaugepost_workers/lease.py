"""A worker's own view of its lease on a job, without a question to Redis.

A process can be frozen at any moment, for longer than a lease: SIGSTOP, a suspended host, a paused container. When it
continues, another worker may have delivered its jobs. So each request checks its lease just before its first byte.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gaugepost.ledger import Claimed

_FRESH = 2 / 3
"""A request may begin while less than this part of the lease has passed since its last renewal."""

# Linux stops its monotonic clock while the host is suspended; macOS does not, and has no other.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class LeaseOver(Exception):  # noqa: N818
    """Raised just before the first byte. Nothing was sent: another worker may hold the job by now."""


def lease_clock() -> float:
    """Return seconds of a clock that also runs while this process is stopped or its host is suspended."""
    return time.clock_gettime(_CLOCK)


@dataclass(slots=True)
class Lease:
    """The lease on one claimed job. The dispatcher's thread renews it; sender threads read it.

    `length_s`: seconds from a renewal to the end. `renewed_at`: `lease_clock()` before the call that claimed the job
    or last renewed its lease. `lost`: Redis says that this worker holds the job no more.
    """

    claimed: Claimed
    length_s: float
    renewed_at: float
    lost: bool = False

    def is_over(self, now: float) -> bool:
        """Return whether a request that begins at `now` could still run when another worker gets the job."""
        return self.lost or now - self.renewed_at > _FRESH * self.length_s

    def check(self, now: float) -> None:
        """Raise LeaseOver unless a request may begin at `now`."""
        if self.is_over(now):
            raise LeaseOver
