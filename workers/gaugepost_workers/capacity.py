"""How many more jobs a worker may claim. Pure functions."""

from __future__ import annotations

URGENT_THREADS = 4
"""Sender threads that take urgent jobs only."""

MAX_CLAIM = 100
"""The most jobs of one claim."""

_SOON_S = 0.1  # jobs beyond twice the concurrency must start within this time


def capacity(concurrency: int, mean_delivery_s: float, lease_s: float, in_flight: int) -> int:
    """Return how many jobs to claim: as many as senders can start soon, and within a third of a lease.

    No other worker can take a job that waits here. Returns 0 until a quarter of the limit is free, because few large
    claims cost less than many small ones. `mean_delivery_s`: seconds that a sender needs for one job.
    """
    per_second = concurrency / mean_delivery_s
    soon, in_time = min(MAX_CLAIM, int(per_second * _SOON_S)), int(per_second * lease_s / 3)
    limit = min(max(2 * concurrency, soon), max(in_time, concurrency))
    room = limit - in_flight
    return min(room, MAX_CLAIM) if room >= limit // 4 else 0


def urgent_capacity(urgent_in_flight: int) -> int:
    """Return how many urgent jobs to claim while there is no capacity for others."""
    return max(0, 2 * URGENT_THREADS - urgent_in_flight)
