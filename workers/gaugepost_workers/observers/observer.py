"""The protocol of observers. The dispatcher calls them with each claim and each settlement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gaugepost.ledger import Claimed, Settlement


class Observer(Protocol):
    """Receives job events: for Flower, metrics and traces. Its methods are called in the dispatcher's thread."""

    def claimed(self, jobs: Sequence[Claimed]) -> None:
        """Receive the jobs of one claim, which may be none."""

    def settled(self, settlements: Sequence[Settlement]) -> None:
        """Receive the settlements that the ledger accepted."""
