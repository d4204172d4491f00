"""Several observers of one dispatcher, told one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gaugepost.ledger import Claimed, Settlement
    from gaugepost_workers.observers.observer import Observer


class FanOut:
    """Tells each of them all."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def claimed(self, jobs: Sequence[Claimed]) -> None:
        """Jobs were claimed."""
        for observer in self._observers:
            observer.claimed(jobs)

    def settled(self, settlements: Sequence[Settlement]) -> None:
        """Jobs were settled."""
        for observer in self._observers:
            observer.settled(settlements)
