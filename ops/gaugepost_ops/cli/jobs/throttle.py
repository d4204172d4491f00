"""Long calls of a person, at a pace, that Ctrl-C ends between two steps: what was done is known to the last job."""

from __future__ import annotations

import signal
import time
from contextlib import suppress
from math import ceil
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import FrameType

_STEPS_A_SECOND = 4


class Throttle:
    """Use it in a `with` statement. `rate`: jobs a second; None: as fast as it goes. A second Ctrl-C ends at once."""

    def __init__(self, rate: int | None) -> None:
        self._rate = rate
        self.interrupted = False
        """Whether Ctrl-C was pressed."""
        # Not an Event: its lock stops a signal's handler for ever that comes while `wait` has it.
        self._stop: SimpleQueue[None] = SimpleQueue()
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        """Take Ctrl-C over."""
        self._before = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        """Give it back."""
        signal.signal(signal.SIGINT, self._before)

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        self.interrupted = True
        self._stop.put(None)
        signal.signal(signal.SIGINT, self._before)

    def batch_size(self, most: int) -> int:
        """Return how many jobs to take at a time."""
        return most if self._rate is None else max(1, min(most, ceil(self._rate / _STEPS_A_SECOND)))

    def wait_until_due(self, done: int) -> None:
        """Wait until it is time for more than `done` jobs."""
        if self._rate is None or self.interrupted:
            return
        with suppress(Empty):
            self._stop.get(timeout=max(0.0, self._started + done / self._rate - time.monotonic()))
