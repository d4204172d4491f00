"""Note in the watchdog each time the dispatcher's loop claims or settles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaugepost_workers.watchdog import WATCHDOG, Watchdog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gaugepost.ledger import Claimed, Settlement
    from gaugepost_workers.observers.observer import Observer


class DispatcherWatch:
    """An observer that notes each call for the watchdog, and passes the call on to another observer."""

    def __init__(self, observer: Observer, watchdog: Watchdog = WATCHDOG) -> None:
        self._observer = observer
        self._watchdog = watchdog

    def claimed(self, jobs: Sequence[Claimed]) -> None:
        self._watchdog.note_progress()
        self._observer.claimed(jobs)

    def settled(self, settlements: Sequence[Settlement]) -> None:
        self._watchdog.note_progress()
        self._observer.settled(settlements)
