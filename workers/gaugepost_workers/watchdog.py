"""Detects a stuck worker: it notes when the worker last read from Redis, and when its dispatcher last went on.

A note is one assignment, so every message and every turn of the loop can make one.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from gaugepost.bell import pushed_at

if TYPE_CHECKING:
    from collections.abc import Iterator

_READ_S = 10.0  # kombu reads an empty queue again each second
_PROGRESS_S = 60.0  # one turn of the loop waits at most for an exchange (30 s) or for Redis (about 20 s)


class Watchdog:
    """The times at which one worker process last made progress. Times are monotonic seconds. Thread-safe."""

    def __init__(self) -> None:
        self._read_at = time.monotonic()
        self._progress_at = self._read_at
        self._threads = 0
        self._tick_pushed: int | Literal["now", ""] = ""
        self._lock = threading.Lock()

    def note_read(self) -> None:
        """Note that kombu read from Redis, whether it found a message or none."""
        self._read_at = time.monotonic()

    def note_progress(self) -> None:
        """Note that the dispatcher's loop went on."""
        self._progress_at = time.monotonic()

    def note_tick(self, message_id: str) -> None:
        """Note that this worker took a tick, and when beat pushed it.

        The message of an older beat has no time: it counts as pushed now.
        """
        seconds = pushed_at(message_id)
        self._tick_pushed = "now" if seconds is None else seconds * 1000

    def pop_newest_tick(self) -> int | Literal["now", ""]:
        """Return when beat pushed the newest tick since the last call: ms of Redis' clock, or "" for no tick."""
        pushed, self._tick_pushed = self._tick_pushed, ""
        return pushed

    @contextmanager
    def dispatching(self) -> Iterator[None]:
        """Count a thread that runs the dispatcher, or that finds another thread running it."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def _count(self, step: int) -> None:
        with self._lock:
            if not self._threads:  # the dispatcher had nothing to do until now
                self.note_progress()
            self._threads += step

    def is_healthy(self) -> bool:
        """Return whether kombu reads messages, and the dispatcher's loop runs or is idle."""
        now = time.monotonic()
        return now - self._read_at < _READ_S and (not self._threads or now - self._progress_at < _PROGRESS_S)


WATCHDOG = Watchdog()
"""The watchdog of this process. It is global because kombu creates the channel that reads."""
