"""Passes job events on to several observers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gaugepost.ledger import Claimed, Settlement
    from gaugepost_workers.observers.observer import Observer


class FanOut:
    """An observer that calls several others, one after another."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def claimed(self, jobs: Sequence[Claimed]) -> None:
        for observer in self._observers:
            observer.claimed(jobs)

    def settled(self, settlements: Sequence[Settlement]) -> None:
        for observer in self._observers:
            observer.settled(settlements)
