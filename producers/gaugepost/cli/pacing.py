"""Long calls of a person, at a pace, that Ctrl-C ends between two steps: what was done is known to the last job."""

from __future__ import annotations

import signal
import threading
import time
from math import ceil
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import FrameType

_STEPS_A_SECOND = 4


class Pace:
    """Use it in a `with` statement. `rate`: jobs a second; None: as fast as it goes. A second Ctrl-C ends at once."""

    def __init__(self, rate: int | None) -> None:
        self._rate = rate
        self._stop = threading.Event()
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        """Take Ctrl-C over."""
        self._before = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        """Give it back."""
        signal.signal(signal.SIGINT, self._before)

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        self._stop.set()
        signal.signal(signal.SIGINT, self._before)

    @property
    def interrupted(self) -> bool:
        """Tell whether Ctrl-C was pressed."""
        return self._stop.is_set()

    def step(self, most: int) -> int:
        """Return how many jobs to take at a time."""
        return most if self._rate is None else max(1, min(most, ceil(self._rate / _STEPS_A_SECOND)))

    def keep(self, done: int) -> None:
        """Wait until it is time for more than `done` jobs."""
        if self._rate is not None:
            self._stop.wait(max(0.0, self._started + done / self._rate - time.monotonic()))
