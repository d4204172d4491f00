"""Forecast when each file of an upload lane starts. Pure functions; all times are Unix ms by Redis' clock.

A forecast changes when a hold stops the lane, or when other files go first.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lane:
    """The state of an upload lane.

    `now`: the current time. `interval`: ms between two starts. `last_start`: the last start, None if there was none.
    `ahead`: number of files that go first. `held`: a hold stops the region. `held_until`: when the hold ends or sends
    its probe, None if only a person ends it.
    """

    now: int
    interval: int
    last_start: int | None = None
    ahead: int = 0
    held: bool = False
    held_until: int | None = None

    def next_slot(self) -> int | None:
        """Return when the upload slot opens next; None while only a person can end the hold."""
        if self.held and self.held_until is None:
            return None
        opens = self.now if self.last_start is None else max(self.now, self.last_start + self.interval)
        return max(opens, self.held_until or 0)

    def starts(self, files: int, not_before: int = 0) -> list[int | None]:
        """Return when each of `files` further files starts; None for each while only a person can end the hold.

        `not_before`: their `deliver_at`.
        """
        slot = self.next_slot()
        if slot is None:
            return [None] * files
        first = max(slot + self.ahead * self.interval, not_before)
        return [first + n * self.interval for n in range(files)]
