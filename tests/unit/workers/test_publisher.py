"""Which job events observers receive, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog.testing

from gaugepost.ledger import Claimed, Settlement
from gaugepost.ledger.history import History
from gaugepost.transitions import Dead, Decision, Delivered, Requeued
from gaugepost.verdict import Verdict
from gaugepost_workers.observers.publisher import Publisher
from support.factories import record

if TYPE_CHECKING:
    from collections.abc import Sequence


class Calls:
    """An observer that notes the ids of each call."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, list[str]]] = []

    def claimed(self, jobs: Sequence[Claimed]) -> None:
        self.seen.append(("claimed", [claimed.id for claimed in jobs]))

    def settled(self, settlements: Sequence[Settlement]) -> None:
        self.seen.append(("settled", [settlement.claimed.id for settlement in settlements]))


def job(job_id: str) -> Claimed:
    return Claimed(job_id, 1, 0, record(), History())


def test_started_jobs_are_published_together_and_once() -> None:
    calls = Calls()
    publisher = Publisher(calls)
    publisher.note_started(job("a"))
    publisher.note_started(job("b"))
    assert publisher.has_unpublished
    assert calls.seen == []
    publisher.publish_started()
    publisher.publish_started()
    assert calls.seen == [("claimed", ["a", "b"])]
    assert not publisher.has_unpublished


def test_jobs_that_never_started_are_not_published() -> None:
    calls = Calls()
    behind = Settlement(job("a"), Decision(Requeued("first"), counted=False))
    given_back = Settlement(job("b"), Decision(Requeued(), counted=False))
    Publisher(calls).publish_settled([behind, given_back, Settlement(job("c"), Decision(Delivered()))])
    assert calls.seen == [("settled", ["b", "c"])]


def test_death_of_a_settled_job_is_logged() -> None:
    with structlog.testing.capture_logs() as logged:
        Publisher(Calls()).publish_settled([Settlement(job("a"), Decision(Dead(Verdict.BAD_FILE)))])
    assert [(line["event"], line["job"], line["verdict"]) for line in logged] == [("job dead", "a", "bad_file")]


def test_jobs_that_were_given_up_are_not_published() -> None:
    calls = Calls()
    publisher = Publisher(calls)
    publisher.note_started(job("a"))
    publisher.clear()
    publisher.publish_started()
    assert calls.seen == []
