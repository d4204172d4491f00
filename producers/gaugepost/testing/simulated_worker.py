"""`SimulatedWorker`: claims and settles jobs in memory as a worker does, with the outcomes that a test chose."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaugepost.ledger import Settlement, WorkerLedger
from gaugepost.transitions import Decision, Requeued

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gaugepost.jobs import JobBase
    from gaugepost.ledger import Claimed, JobView
    from gaugepost.regions import Region
    from gaugepost.settings import Settings
    from gaugepost.testing.memory import Memory
    from gaugepost.testing.outcomes import Outcome

_MANY = 10_000


class SimulatedWorker:
    """The worker of all regions. It runs in the test's thread, and only when the test calls it."""

    def __init__(self, memory: Memory, settings: Settings) -> None:
        self._memory = memory
        self._settings = settings
        self._ledgers: dict[Region, WorkerLedger] = {}
        self._claims = 0
        memory.register_workers()

    def ledger(self, region: Region) -> WorkerLedger:
        """Return the ledger of a region."""
        if region not in self._ledgers:
            self._ledgers[region] = WorkerLedger(self._memory.client, region, self._settings)
        return self._ledgers[region]

    def run_ticks(self, region: Region) -> None:
        """Bring back parked jobs whose time has come, carry out operations, and delete what is past its retention."""
        self.ledger(region).promote()
        self.ledger(region).operation_runner.run("gaugepost.testing")
        self.ledger(region).sweep()

    def settle_jobs(self, region: Region, ids: set[str], outcome: Outcome) -> None:
        """Settle these jobs. Raises AssertionError if a worker could not claim one of them now."""
        settled: set[str] = set()
        while more := self._claim_and_settle(region, lambda claimed: outcome if claimed.id in ids else None):
            settled |= more  # a worker can now claim the next job of a lane
        for view in self.ledger(region).read([*ids - settled]):
            assert view is None, why_not_claimed(view)  # noqa: S101 - it is for tests

    def settle_kinds(self, region: Region) -> None:
        """Settle all jobs of a region whose kind has an outcome."""
        outcomes = self._memory.outcomes
        while (
            outcomes
            and self._memory.has_work(region)
            and self._claim_and_settle(region, lambda claimed: _of_kind(outcomes, claimed.job))
        ):
            pass

    def _claim_and_settle(self, region: Region, outcome_of: Callable[[Claimed], Outcome | None]) -> set[str]:
        """Claim all jobs that a worker could claim. Settle those with an outcome, requeue the others.

        Return the ids of the settled jobs.
        """
        with self._memory.lock:
            ledger, now = self.ledger(region), self._memory.now()
            self._claims += 1
            claimed = ledger.claim("gaugepost.testing", f"{id(self)}:{self._claims}", _MANY).jobs
            ended = [(one, outcome) for one in claimed if (outcome := outcome_of(one))]
            done = {one.id for one, _ in ended}
            for one, _ in ended:
                if one.job.kind == "file":
                    ledger.mark(one)  # takes the upload slot
            settlements = [outcome.settlement(one, now) for one, outcome in ended]
            settlements += [Settlement(one, Decision(Requeued())) for one in claimed if one.id not in done]
            if settlements:
                ledger.settle(settlements)
        return done


def _of_kind(outcomes: Mapping[type[JobBase], Outcome], job: JobBase) -> Outcome | None:
    return next((outcomes[kind] for kind in type(job).__mro__ if kind in outcomes), None)


def why_not_claimed(view: JobView) -> str:
    """Return the message of an assertion: a worker could not claim this job, and why."""
    why = f" ({view.reason})" if view.reason else ""
    return f"no worker could claim job {view.id} now: it is {view.state}{why}"
