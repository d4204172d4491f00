"""Group read: jobs that requests ask for while Redis reads others are read by one script call.

1,000 requests that wait for a few jobs ask for them at once when they end. One call each would take seconds.
"""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING

from gaugepost.errors import StoreUnreachable
from gaugepost.ledger.chunks import AT_ONCE

if TYPE_CHECKING:
    from gaugepost.ledger import JobView
    from gaugepost.regions import Region
    from gaugepost_ops.web.store import Store

_Waiters = dict[str, list["asyncio.Future[JobView | None]"]]


class GroupRead:
    """The readings of single jobs of one region."""

    def __init__(self, store: Store, region: Region) -> None:
        self._store = store
        self._region = region
        self._waiting: _Waiters = {}
        self._reading: asyncio.Task[None] | None = None

    async def view(self, job_id: str) -> JobView | None:
        """Read one job; None for an unknown id. The reading begins after this call. Raises the errors of `Store`."""
        found: asyncio.Future[JobView | None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(job_id, []).append(found)
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_all())
        return await found

    async def _read_all(self) -> None:
        while self._waiting:
            group = {job_id: self._waiting.pop(job_id) for job_id in list(islice(self._waiting, AT_ONCE))}
            try:
                await self._read_group(group)
            except StoreUnreachable as error:
                # Those that wait would only wait for the next failure.
                self._waiting, waiting = {}, self._waiting
                _fail(group, error)
                _fail(waiting, error)
            except Exception as error:  # noqa: BLE001 - each waiter must get an answer; it raises the error
                _fail(group, error)

    async def _read_group(self, group: _Waiters) -> None:
        ids = list(group)
        while ids:
            views = await self._store.read(self._region, ids)
            for job_id, view in zip(ids, views, strict=False):  # large jobs come in several calls
                for one in group[job_id]:
                    if not one.done():
                        one.set_result(view)
            ids = ids[len(views) :]


def _fail(group: _Waiters, error: Exception) -> None:
    for one in (one for waiters in group.values() for one in waiters):
        if not one.done():
            one.set_exception(error)
