"""Limit the rate of a long command, and let Ctrl-C stop it between two batches, so that each job's outcome is known."""

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
    """Limits the rate inside a `with` block. `rate`: jobs per second (None: no limit).

    The first Ctrl-C sets `interrupted`; the second one raises KeyboardInterrupt as usual.
    """

    def __init__(self, rate: int | None) -> None:
        self._rate = rate
        self.interrupted = False
        """Whether Ctrl-C was pressed."""
        # Not an Event: if the signal comes while `wait` holds its lock, the handler blocks for ever.
        self._stop: SimpleQueue[None] = SimpleQueue()
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        self.interrupted = True
        self._stop.put(None)
        signal.signal(signal.SIGINT, self._before)

    def batch_size(self, most: int) -> int:
        """Return the size of the next batch: at most `most`, and about a quarter of a second's jobs."""
        return most if self._rate is None else max(1, min(most, ceil(self._rate / _STEPS_A_SECOND)))

    def wait_until_due(self, done: int) -> None:
        """Wait until the rate allows more than `done` jobs since the start; return at once after Ctrl-C."""
        if self._rate is None or self.interrupted:
            return
        with suppress(Empty):
            self._stop.get(timeout=max(0.0, self._started + done / self._rate - time.monotonic()))
