"""`MemoryProducer` and `AsyncMemoryProducer`: producers with a store in memory.

No worker delivers their jobs. Therefore `result()` of an open job raises ResultTimeout at once.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from gaugepost.async_client import AsyncProducer
from gaugepost.client import Producer
from gaugepost.errors import ResultTimeout
from gaugepost.jobs import JOBS
from gaugepost.settings import Settings
from gaugepost.testing.controls import Controls

if TYPE_CHECKING:
    import redis.asyncio

    from gaugepost.ledger import JobView, Ledger
    from gaugepost.ledger.producer_calls import ProducerCalls
    from gaugepost.ledger.scripts import AsyncRunner
    from gaugepost.regions import Region


@cache
def _defaults() -> Settings:
    return Settings.given()


class MemoryProducer(Controls, Producer):
    """A `Producer` for tests, without network and threads. It ignores the environment (see `Settings.given`).

    `beside`: another producer in memory, whose store it shares.
    """

    def __init__(self, settings: Settings | None = None, *, beside: Controls | None = None) -> None:
        super().__init__(settings or (beside.settings if beside else _defaults()))
        self._start(beside)

    def ledger(self, region: Region) -> Ledger:
        """Return the ledger of one region, after the outcomes of its kinds were applied."""
        self._worker.settle_kinds(region)
        ledger = self._worker.ledger(region)
        self._set_limits(ledger.producer_calls)
        return ledger

    def job(self, job_id: str, *, region: Region | None = None) -> JobView:
        """Return all that is stored about one job. Raises JobNotFound."""
        with self.memory.lock:  # another thread may have claimed the job for a moment
            return super().job(job_id, region=region)

    def wait(self, job_id: str, timeout: float | None = None, *, region: Region | None = None) -> JobView:  # noqa: ARG002 - it never waits
        """Return a job that has ended. Raises ResultTimeout at once for an open job, JobNotFound."""
        return _ended(self.job(job_id, region=region))


class AsyncMemoryProducer(Controls, AsyncProducer):
    """An `AsyncProducer` for tests; see `MemoryProducer`. The calls of `Controls` are plain methods, no coroutines."""

    def __init__(self, settings: Settings | None = None, *, beside: Controls | None = None) -> None:
        super().__init__(settings or (beside.settings if beside else _defaults()))
        self._start(beside)

    def _connect(self, region: Region) -> redis.asyncio.Redis:  # noqa: ARG002 - one store for all
        return self.memory.async_client()

    def _region(self, region: Region) -> tuple[ProducerCalls, AsyncRunner]:
        self._worker.settle_kinds(region)
        calls, run = super()._region(region)
        self._set_limits(calls)
        return calls, run

    def _make_blocking(self) -> MemoryProducer:
        return MemoryProducer(beside=self)

    async def wait(
        self,
        job_id: str,
        timeout: float | None = None,  # noqa: ASYNC109, ARG002 - it never waits
        *,
        region: Region | None = None,
    ) -> JobView:
        """Return a job that has ended. Raises ResultTimeout at once for an open job, JobNotFound."""
        return _ended(await self.job(job_id, region=region))


def _ended(view: JobView) -> JobView:
    if view.has_ended:
        return view
    why = f" ({view.reason})" if view.reason else ""
    hint = f"no worker runs here. Call deliver(job), or deliver({JOBS[view.kind].__name__}), before you wait for it"
    raise ResultTimeout(f"job {view.id} is still {view.state}{why}: {hint}")
