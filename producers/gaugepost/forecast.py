"""When each file of an upload lane will start: arithmetic on its last start, its length and what holds it.

Pure; all times are Unix ms by Redis' clock. A forecast moves when the lane is held, or when files come before it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lane:
    """What a forecast stands on.

    `last_start`: None if no file was ever sent. `ahead`: files waiting before those that are asked about. `held`: a
    hold keeps the region; `held_until` is when it ends or probes, None if only a person ends it.
    """

    now: int
    interval: int
    last_start: int | None = None
    ahead: int = 0
    held: bool = False
    held_until: int | None = None

    def next_slot(self) -> int | None:
        """Return when the slot opens next; None while nobody can tell."""
        if self.held and self.held_until is None:
            return None
        opens = self.now if self.last_start is None else max(self.now, self.last_start + self.interval)
        return max(opens, self.held_until or 0)

    def starts(self, files: int) -> list[int | None]:
        """Return when each of `files` more files will start."""
        first = self.next_slot()
        if first is None:
            return [None] * files
        return [first + (self.ahead + n) * self.interval for n in range(files)]
