"""Long polls: wait until jobs have ended. All that wait share one reading of a region, so an idle one costs little."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gaugepost.errors import GaugepostError
from gaugepost.ledger.chunks import AT_ONCE
from gaugepost.states import ENDED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gaugepost.regions import Region
    from gaugepost.states import JobState
    from gaugepost_ops.web.stopping import Stopping
    from gaugepost_ops.web.store import Store

_PAUSE_S = 0.05
_PAUSE_PER_JOB_S = 0.0005
"""1,000 jobs are read twice a second: that takes this process a tenth of a core."""


@dataclass(slots=True)
class _OfRegion:
    """The jobs of one region for which requests wait, each with its waiters."""

    waiters: dict[str, list[asyncio.Future[None]]] = field(default_factory=dict)
    reading: asyncio.Task[None] | None = None


class Waiting:
    """The requests that wait for jobs to end."""

    def __init__(self, store: Store, stopping: Stopping) -> None:
        self._store = store
        self._stopping = stopping
        self._regions = {region: _OfRegion() for region in store.settings.regions}

    async def for_end(self, region: Region, job_id: str, seconds: float) -> None:
        """Return when the job has ended or is gone, when the time is over, when Redis fails, or when this stops."""
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        of = self._regions[region]
        of.waiters.setdefault(job_id, []).append(ended)
        if of.reading is None or of.reading.done():
            of.reading = asyncio.create_task(self._keep_reading(region, of))
        try:
            with self._stopping.calls(lambda: _end([ended])):
                await asyncio.wait({ended}, timeout=seconds)
        finally:
            ended.cancel()
            self._forget(of, job_id, ended)

    def _forget(self, of: _OfRegion, job_id: str, ended: asyncio.Future[None]) -> None:
        waiters = of.waiters.get(job_id, [])
        if ended in waiters:
            waiters.remove(ended)
        if not waiters:
            of.waiters.pop(job_id, None)

    async def _keep_reading(self, region: Region, of: _OfRegion) -> None:
        while of.waiters:
            await asyncio.sleep(max(_PAUSE_S, _PAUSE_PER_JOB_S * len(of.waiters)))
            ids = list(of.waiters)
            for start in range(0, len(ids), AT_ONCE):
                await self._read(region, of, ids[start : start + AT_ONCE])

    async def _read(self, region: Region, of: _OfRegion, ids: Sequence[str]) -> None:
        try:
            states: Sequence[JobState | None] = await self._store.states(region, ids)
        except GaugepostError:
            states = [None] * len(ids)  # the request reads the job once more, and answers with this error
        for job_id, state in zip(ids, states, strict=True):
            if state is None or state in ENDED:
                _end(of.waiters.get(job_id, ()))


def _end(waiters: Sequence[asyncio.Future[None]]) -> None:
    for one in waiters:
        if not one.done():
            one.set_result(None)
