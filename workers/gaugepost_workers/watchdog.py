"""What tells that a worker would really take work: when a message was last read, and when the wheel last turned.

Notes of times and nothing else, so that they may stand in the hot path.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from gaugepost.bell import pushed_at

if TYPE_CHECKING:
    from collections.abc import Iterator

_READ_S = 10.0  # an empty queue is read anew each second
_PROGRESS_S = 60.0  # a turn takes at most an exchange (30 s), or a claim that Redis does not answer (some 20 s)


class Watchdog:
    """The signs of one process. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._read_at = time.monotonic()
        self._progress_at = self._read_at
        self._threads = 0
        self._tick_pushed: int | Literal["now", ""] = ""
        self._lock = threading.Lock()

    def note_read(self) -> None:
        """Note that a message was read from Redis, or that there was none."""
        self._read_at = time.monotonic()

    def note_progress(self) -> None:
        """Note that the wheel turned."""
        self._progress_at = time.monotonic()

    def note_tick(self, message_id: str) -> None:
        """Note that a tick was taken, and when beat pushed it: now, where an older beat's message does not say."""
        seconds = pushed_at(message_id)
        self._tick_pushed = "now" if seconds is None else seconds * 1000

    def pop_newest_tick(self) -> int | Literal["now", ""]:
        """Return when beat pushed the newest tick since the last call, ms by Redis' clock; empty if there was none."""
        pushed, self._tick_pushed = self._tick_pushed, ""
        return pushed

    @contextmanager
    def dispatching(self) -> Iterator[None]:
        """Stand for a bell's thread that goes to the wheel, be it that another one turns it already."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def _count(self, step: int) -> None:
        with self._lock:
            if not self._threads:  # it rested
                self.note_progress()
            self._threads += step

    def is_healthy(self) -> bool:
        """Tell whether messages are read, and the wheel turns or rests."""
        now = time.monotonic()
        return now - self._read_at < _READ_S and (not self._threads or now - self._progress_at < _PROGRESS_S)


WATCHDOG = Watchdog()
"""Those of this process: it has one worker, and kombu makes the channel that reads."""
