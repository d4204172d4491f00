"""Publishes the dispatcher's job events to its observers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaugepost.transitions import Requeued
from gaugepost_workers.observers.ledger_log import log_deaths

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gaugepost.ledger import Claimed, Settlement
    from gaugepost_workers.observers.observer import Observer


class Publisher:
    """Publishes started jobs late, and settled jobs at once. For one thread.

    Right after a claim the observers would take the CPU from the senders.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._started: list[Claimed] = []

    @property
    def has_unpublished(self) -> bool:
        return bool(self._started)

    def note_started(self, claimed: Claimed) -> None:
        """Keep a started job for the next `publish_started`."""
        self._started.append(claimed)

    def publish_started(self) -> None:
        """Publish the jobs that were started since the last call."""
        if self._started:
            jobs, self._started = self._started, []
            self._observer.claimed(jobs)

    def publish_settled(self, settlements: Iterable[Settlement]) -> None:
        """Publish accepted settlements, and log the deaths among them. Skip jobs that no sender has started."""
        started = [settlement for settlement in settlements if not _was_never_started(settlement)]
        log_deaths(started)
        self._observer.settled(started)

    def clear(self) -> None:
        """Forget the jobs that are not published yet."""
        self._started.clear()


def _was_never_started(settlement: Settlement) -> bool:
    transition = settlement.decision.transition
    return isinstance(transition, Requeued) and bool(transition.behind)
