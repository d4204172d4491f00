"""Several witnesses of one executor, told one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gaugepost.ledger import Claimed, Settlement
    from gaugepost_workers.observers.observer import Witness


class Witnesses:
    """Tells each of them all."""

    def __init__(self, *witnesses: Witness) -> None:
        self._witnesses = witnesses

    def claimed(self, jobs: Sequence[Claimed]) -> None:
        """Jobs were claimed."""
        for witness in self._witnesses:
            witness.claimed(jobs)

    def settled(self, settlements: Sequence[Settlement]) -> None:
        """Jobs were settled."""
        for witness in self._witnesses:
            witness.settled(settlements)
