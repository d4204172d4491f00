"""How many jobs a worker claims."""

from __future__ import annotations

import pytest

from gaugepost_workers.capacity import MAX_CLAIM, URGENT_THREADS, capacity, urgent_capacity


@pytest.mark.parametrize(
    ("concurrency", "mean_s", "in_flight", "expected"),
    [
        (16, 0.05, 0, 32),  # twice the concurrency
        (16, 0.05, 24, 8),  # a quarter of the limit is free
        (16, 0.05, 25, 0),  # less than a quarter
        (64, 0.01, 0, MAX_CLAIM),  # 128 would fit: one claim has 100 at most
        (8, 0.01, 0, 80),  # fast deliveries: what can start within 0.1 s
        (4, 60.0, 0, 4),  # slow deliveries: 2 could start within a third of a lease, but no sender idles
        (16, 0.05, 500, 0),
    ],
)
def test_capacity_is_what_senders_can_start_soon(
    concurrency: int, mean_s: float, in_flight: int, expected: int
) -> None:
    assert capacity(concurrency, mean_s, 90.0, in_flight) == expected


def test_urgent_capacity_counts_urgent_jobs_alone() -> None:
    assert urgent_capacity(0) == 2 * URGENT_THREADS
    assert urgent_capacity(2 * URGENT_THREADS + 1) == 0
