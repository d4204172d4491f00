"""Watch jobs for the callers that wait for CustomerGauge's answer. All that wait share one reading of a region.

Behind a caller there may be a person who waits for a survey link. So a new job is looked at every few milliseconds,
and less often the longer it takes and the more jobs there are.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gaugepost.errors import GaugepostError
from gaugepost.ledger.chunks import AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gaugepost.ledger import JobView
    from gaugepost.regions import Region
    from gaugepost_ops.web.stopping import Stopping
    from gaugepost_ops.web.store import Store

_YOUNG_S = 2.0
_PAUSE_S = 0.004
_LATER_PAUSE_S = 0.05
_SHORTEST_WAIT_S = 0.05
"""A caller that does not want to wait gets the answer of a job that has ended."""
_PAUSE_PER_JOB_S = 0.0003
"""The pause grows with the jobs, so that reading them takes this process about half of a core at most."""


@dataclass(eq=False, slots=True)
class _Waiter:
    job_id: str
    is_final: Callable[[JobView], bool]
    young_until: float
    found: asyncio.Future[JobView | None]


@dataclass(slots=True)
class _OfRegion:
    waiters: list[_Waiter] = field(default_factory=list)
    reading: asyncio.Task[None] | None = None


class Watching:
    """The callers that wait. Only the event loop's thread may use it."""

    def __init__(self, store: Store, stopping: Stopping) -> None:
        self._store = store
        self._stopping = stopping
        self._regions = {region: _OfRegion() for region in store.settings.regions}

    async def final(
        self, region: Region, job_id: str, seconds: float, is_final: Callable[[JobView], bool]
    ) -> JobView | None:
        """Return the job once it is final; None after so many seconds, if it is gone, or when this process stops.

        Raises StoreError.
        """
        loop = asyncio.get_running_loop()
        waiter = _Waiter(job_id, is_final, loop.time() + _YOUNG_S, loop.create_future())
        of = self._regions[region]
        of.waiters.append(waiter)
        if of.reading is None or of.reading.done():
            of.reading = asyncio.create_task(self._keep_reading(region, of))
        try:
            with self._stopping.calls(lambda: _end(waiter, None)):
                await asyncio.wait({waiter.found}, timeout=max(seconds, _SHORTEST_WAIT_S))
            return waiter.found.result() if waiter.found.done() else None
        finally:
            of.waiters.remove(waiter)
            waiter.found.cancel()

    async def _keep_reading(self, region: Region, of: _OfRegion) -> None:
        while of.waiters:
            now = asyncio.get_running_loop().time()
            is_young = any(waiter.young_until > now for waiter in of.waiters)
            pause = max(_PAUSE_S if is_young else _LATER_PAUSE_S, _PAUSE_PER_JOB_S * len(of.waiters))
            await asyncio.sleep(pause)
            waiters = [waiter for waiter in of.waiters if not waiter.found.done()]
            for start in range(0, len(waiters), AT_ONCE):
                await self._read(region, waiters[start : start + AT_ONCE])

    async def _read(self, region: Region, waiters: Sequence[_Waiter]) -> None:
        while waiters:
            try:
                views = await self._store.read(region, [waiter.job_id for waiter in waiters])
            except GaugepostError as error:
                for waiter in waiters:
                    if not waiter.found.done():
                        waiter.found.set_exception(error)
                return
            for waiter, view in zip(waiters, views, strict=False):  # large jobs come in several calls
                if view is None or waiter.is_final(view):
                    _end(waiter, view)
            waiters = waiters[len(views) :]


def _end(waiter: _Waiter, view: JobView | None) -> None:
    if not waiter.found.done():
        waiter.found.set_result(view)
