"""The dice of a run, what it counts, and the actions that are due later."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

Action = Callable[[], object]
Weights = dict[Action, float]
"""Fault → how often it comes, compared with the others."""


@dataclass(frozen=True)
class _Later:
    due: float
    action: Action
    at_end: bool


class Schedule:
    """What all faults of a run share. `totals` counts the faults."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.totals: Counter[str] = Counter()
        self._later: list[_Later] = []

    def later(self, wait_s: float, action: Action, *, at_end: bool = False) -> None:
        """Call `action` after these seconds. `at_end`: call it at the end of the run if it is not due before."""
        self._later.append(_Later(time.monotonic() + wait_s, action, at_end))

    def soon(self, action: Action, longest_s: float) -> None:
        """Call `action` at once, or after a random wait of at most `longest_s`."""
        self.later(self.dice.choice([0.0, self.dice.uniform(0, longest_s)]), action)

    def run_due(self) -> None:
        now = time.monotonic()
        for one in [one for one in self._later if one.due <= now]:
            self._later.remove(one)
            one.action()

    def end(self) -> None:
        """Drop all actions, but call those of which the run must not end without."""
        for one in self._later:
            if one.at_end:
                one.action()
        self._later.clear()
