"""Show what is done to many jobs at once: a batch that its canary stops, an operation, and the erasure of a person."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from gaugepost.jobs import parse_job
from gaugepost.ledger.erasing import Person
from gaugepost.ledger.job_filter import JobFilter
from gaugepost.ledger.ledger import now_ms
from gaugepost.ledger.operations import Action
from gaugepost.regions import Region
from gaugepost.states import JobState
from gaugepost_ops.demo import scenarios
from gaugepost_ops.demo.errors import DemoFailed
from gaugepost_ops.demo.report import Fact

if TYPE_CHECKING:
    from collections.abc import Callable

    from gaugepost.client import Producer
    from gaugepost_ops.demo.environment import Environment
    from gaugepost_ops.demo.report import Reporter

_POLL_S = 0.1
_DEADLINE_S = 40.0
_BY = "demo"


class BulkSteps:
    """Runs the three steps, and returns a fact for each. All of them raise DemoFailed after a deadline."""

    def __init__(self, environment: Environment, producer: Producer, reporter: Reporter) -> None:
        self._environment = environment
        self._producer = producer
        self._reporter = reporter
        self._ledger = producer.ledger(Region.EU)

    def run(self) -> list[Fact]:
        """Run all steps, in order."""
        return [self._stop_a_batch(), self._cancel_its_rest(), self._erase_a_person()]

    def _stop_a_batch(self) -> Fact:
        """Enqueue a batch in which each row lacks its address. Three rows are sent; the others wait."""
        name, size, canary = scenarios.BATCH, scenarios.BATCH_SIZE, scenarios.CANARY
        self._reporter.step(f"a batch of {size} wrong rows, with a canary of {canary}; then its rest is cancelled")
        jobs = [parse_job(scenarios.WRONG_ROW | {"source": name}) for _ in range(size)]
        self._producer.enqueue_many(jobs, batch=name, canary=canary)
        self._wait_until(lambda: self._canary_state() != "running", "the canary has not ended")
        batch = self._producer.batch(name)
        reason = (batch.canary and batch.canary.reason) or "none"
        return Fact(
            f"batch {name}: {batch.held} of {size} rows wait: {reason}",
            self._canary_state() == "held" and (batch.states.get("dead"), batch.held) == (canary, size - canary),
        )

    def _canary_state(self) -> str:
        canary = self._producer.batch(scenarios.BATCH).canary
        return canary.state if canary is not None else "none"

    def _cancel_its_rest(self) -> Fact:
        """Cancel the rows that wait, as `gaugepost cancel` with a filter does: workers carry it out."""
        waiting = JobFilter(state=JobState.PARKED, source=scenarios.BATCH)
        operations = self._ledger.operations
        started = operations.start(Action.CANCEL, waiting, by=_BY, reason="the address is missing")
        self._wait_until(lambda: bool((now := operations.show(started.id)) and now.has_ended), "the operation runs on")
        ended = operations.show(started.id) or started
        return Fact(
            f"operation {ended.id}: {ended.done} of {ended.matched} rows cancelled",
            ended.done == ended.matched == scenarios.BATCH_SIZE - scenarios.CANARY,
        )

    def _erase_a_person(self) -> Fact:
        person = Person(email=scenarios.ERASED_EMAIL)
        receipt = self._ledger.erasure.erase(person, now_ms(), _BY)
        left = len(self._producer.find(email=scenarios.ERASED_EMAIL))
        return Fact(
            f"{scenarios.ERASED_EMAIL} is erased: {receipt.stripped} job stripped, {left} found by the address",
            (receipt.jobs, receipt.stripped, left) == (1, 1, 0),
        )

    def _wait_until(self, is_so: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + _DEADLINE_S
        while not is_so():
            self._environment.check()
            if time.monotonic() > deadline:
                raise DemoFailed(f"{otherwise}; see the logs in {self._environment.folder}")
            time.sleep(_POLL_S)
