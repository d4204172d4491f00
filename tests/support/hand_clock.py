"""A worker's clock that changes only when a test moves it."""

from __future__ import annotations

from gaugepost_workers.clock import Clock

WALL = 1_795_305_600.0  # 2026-11-22 00:00 UTC


class HandClock:
    """All four functions of `Clock` from one number; a sleep moves it."""

    def __init__(self) -> None:
        self.now = 0.0

    def clock(self) -> Clock:
        return Clock(wall=lambda: WALL + self.now, monotonic=lambda: self.now, lease=lambda: self.now, sleep=self.move)

    def move(self, seconds: float) -> None:
        self.now += seconds
