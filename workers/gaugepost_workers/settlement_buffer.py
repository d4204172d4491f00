"""The settlements of one worker that Redis has not accepted yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from gaugepost.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gaugepost.ledger import Settlement, WorkerLedger

log = structlog.get_logger("gaugepost.dispatcher")


class SettlementBuffer:
    """Collects settlements, and keeps them while Redis does not answer. For one thread."""

    def __init__(self, ledger: WorkerLedger) -> None:
        self._ledger = ledger
        self._waiting: list[Settlement] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, settlements: Iterable[Settlement]) -> None:
        """Add settlements for the next `flush`."""
        self._waiting += settlements

    def clear(self) -> None:
        """Drop all settlements: the rescuer takes their jobs back."""
        self._waiting.clear()

    def flush(self) -> list[tuple[Settlement, bool]]:
        """Write all settlements in one call; return each with whether the ledger accepted it.

        Returns none, and keeps all, if Redis does not answer.
        """
        if not self._waiting:
            return []
        try:
            accepted = self._ledger.settle(self._waiting)
        except StoreError as error:
            log.warning("settle failed", error=str(error), jobs=len(self._waiting))
            return []
        settled, self._waiting = self._waiting, []
        return list(zip(settled, accepted, strict=True))
