"""What an observer of jobs is: the dispatcher calls it with each claim and each settlement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gaugepost.ledger import Claimed, Settlement


class Observer(Protocol):
    """Sees what becomes of each job: Flower's events, metrics."""

    def claimed(self, jobs: Sequence[Claimed]) -> None:
        """Jobs were claimed."""

    def settled(self, settlements: Sequence[Settlement]) -> None:
        """Jobs were settled."""
