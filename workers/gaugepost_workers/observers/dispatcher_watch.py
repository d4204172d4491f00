"""Notes for the watchdog that the dispatcher's loop goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaugepost_workers.watchdog import WATCHDOG, Watchdog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gaugepost.ledger import Claimed, Settlement
    from gaugepost_workers.observers.observer import Observer


class DispatcherWatch:
    """A witness that notes each turn, and passes on what it sees."""

    def __init__(self, observer: Observer, watchdog: Watchdog = WATCHDOG) -> None:
        self._observer = observer
        self._watchdog = watchdog

    def claimed(self, jobs: Sequence[Claimed]) -> None:
        """See that the wheel asked for jobs."""
        self._watchdog.note_progress()
        self._observer.claimed(jobs)

    def settled(self, settlements: Sequence[Settlement]) -> None:
        """See that the wheel settled jobs."""
        self._watchdog.note_progress()
        self._observer.settled(settlements)
