"""Notes for the watchdog that the dispatcher's loop goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaugepost_workers.watchdog import SIGNS, Signs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gaugepost.ledger import Claimed, Settlement
    from gaugepost_workers.observers.observer import Witness


class WatchedWheel:
    """A witness that notes each turn, and passes on what it sees."""

    def __init__(self, witness: Witness, signs: Signs = SIGNS) -> None:
        self._witness = witness
        self._signs = signs

    def claimed(self, jobs: Sequence[Claimed]) -> None:
        """See that the wheel asked for jobs."""
        self._signs.turned()
        self._witness.claimed(jobs)

    def settled(self, settlements: Sequence[Settlement]) -> None:
        """See that the wheel settled jobs."""
        self._signs.turned()
        self._witness.settled(settlements)
