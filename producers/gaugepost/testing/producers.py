"""`MemoryProducer` and `AsyncMemoryProducer`: the producers themselves, on a store in memory.

Waiting would be for nothing while nobody delivers, so `result()` of a job that is open raises ResultTimeout at once.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from gaugepost.async_client import AsyncProducer
from gaugepost.client import Producer
from gaugepost.errors import ResultTimeout
from gaugepost.jobs import JOBS
from gaugepost.settings import Settings
from gaugepost.testing.controls import Steering

if TYPE_CHECKING:
    import redis.asyncio

    from gaugepost.ledger import JobView, Ledger
    from gaugepost.ledger.producer_calls import Intake
    from gaugepost.ledger.scripts import AsyncRunner
    from gaugepost.regions import Region


@cache
def _defaults() -> Settings:
    return Settings.given()


class MemoryProducer(Steering, Producer):
    """A `Producer` for tests: no network, no thread, and no settings but those given (see `Settings.given`).

    `beside`: another one, whose jobs it shares.
    """

    def __init__(self, settings: Settings | None = None, *, beside: Steering | None = None) -> None:
        super().__init__(settings or (beside.settings if beside else _defaults()))
        self._begin(beside)

    def ledger(self, region: Region) -> Ledger:
        """Return one region of the ledger, what the test said of its jobs done."""
        self._work(region)
        ledger = self._hand(region)
        self._limit(ledger.intake)
        return ledger

    def job(self, job_id: str, *, region: Region | None = None) -> JobView:
        """Return everything about one job. Raises JobNotFound."""
        with self.memory.lock:  # not while another thread has it in its hands
            return super().job(job_id, region=region)

    def wait(self, job_id: str, timeout: float | None = None, *, region: Region | None = None) -> JobView:  # noqa: ARG002 - it takes no time
        """Return a job that has ended. Raises ResultTimeout at once for one that has not, JobNotFound."""
        return _ended(self.job(job_id, region=region))


class AsyncMemoryProducer(Steering, AsyncProducer):
    """An `AsyncProducer` for tests; see `MemoryProducer`. What the test does with it are plain calls, no coroutines."""

    def __init__(self, settings: Settings | None = None, *, beside: Steering | None = None) -> None:
        super().__init__(settings or (beside.settings if beside else _defaults()))
        self._begin(beside)

    def _connect(self, region: Region) -> redis.asyncio.Redis:  # noqa: ARG002 - one store for all
        return self.memory.async_client()

    def _region(self, region: Region) -> tuple[Intake, AsyncRunner]:
        self._work(region)
        intake, run = super()._region(region)
        self._limit(intake)
        return intake, run

    def _make_blocking(self) -> MemoryProducer:
        return MemoryProducer(beside=self)

    async def wait(
        self,
        job_id: str,
        timeout: float | None = None,  # noqa: ASYNC109, ARG002 - it takes no time
        *,
        region: Region | None = None,
    ) -> JobView:
        """Return a job that has ended. Raises ResultTimeout at once for one that has not, JobNotFound."""
        return _ended(await self.job(job_id, region=region))


def _ended(view: JobView) -> JobView:
    if view.has_ended:
        return view
    why = f" ({view.reason})" if view.reason else ""
    told = f"nobody delivers it here: deliver(job), or deliver({JOBS[view.kind].__name__}) before it is waited for"
    raise ResultTimeout(f"job {view.id} is still {view.state}{why}; it goes on; {told}")
