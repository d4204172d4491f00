"""`Gateway`: what all requests of one process share."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

from gaugepost_ops.web.callers import Callers
from gaugepost_ops.web.denials import Denials
from gaugepost_ops.web.group_commit import GroupCommit
from gaugepost_ops.web.group_read import GroupRead
from gaugepost_ops.web.large_bodies import LARGE
from gaugepost_ops.web.observed import KEY, REGION
from gaugepost_ops.web.readiness import Readiness
from gaugepost_ops.web.stopping import Stopping
from gaugepost_ops.web.store import Store
from gaugepost_ops.web.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import Scope as RequestScope

    from gaugepost.ledger import Accepted, Entry, JobView
    from gaugepost.ledger.api_keys import Scope
    from gaugepost.regions import Region
    from gaugepost.settings import Settings
    from gaugepost_ops.web.callers import Caller

MOST_UPLOADS = 4
"""Files that one process takes at once: each needs its size on disk, and a thread that checks it."""


class Gateway:
    """The ledgers, the keys, and the requests that wait."""

    def __init__(self, settings: Settings) -> None:
        self.stopping = Stopping()
        self.store = Store(settings)
        self.settings = self.store.settings
        self.callers = Callers(self.store)
        self.waiting = Waiting(self.store, self.stopping)
        self.readiness = Readiness(self.store)
        self.uploads = asyncio.Semaphore(MOST_UPLOADS)
        """The files that are received and checked now."""
        self.denials = Denials(self.store)
        self._commits = {region: GroupCommit(self.store, region) for region in settings.regions}
        self._reads = {region: GroupRead(self.store, region) for region in settings.regions}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Read the keys as long as this block runs, and close the connections at its end."""
        reading = asyncio.create_task(self.callers.keep_reading())
        try:
            yield
        finally:
            await self.denials.end()
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading
            await self.store.close()

    async def caller(self, request: RequestScope, scope: Scope | None = None) -> Caller:
        """Return who sends a request. Raises Refused: 401, 403 without this scope (None: any), 429."""
        caller = await self.callers.identify(header(request, b"authorization"))
        request[KEY], request[REGION] = caller.name, caller.regions[0]
        if scope is not None:
            caller.require(scope)
        return caller

    async def accept_one(self, entry: Entry) -> Accepted:
        """Store one job, together with those of other requests that arrive at the same moment."""
        if entry.size > LARGE:  # the others would wait for it
            [accepted] = await self.store.accept(entry.job.region, [entry])
            return accepted
        return await self.commit_of(entry.job.region).accept(entry)

    async def read_one(self, region: Region, job_id: str) -> JobView | None:
        """Read one job, together with those of other requests that ask at the same moment; None for an unknown id."""
        return await self._reads[region].view(job_id)

    def commit_of(self, region: Region) -> GroupCommit:
        """Return the group commit of a region."""
        return self._commits[region]


def header(request: RequestScope, name: bytes) -> str | None:
    """Return the first value of a header; None without it."""
    return next((value.decode("latin-1") for found, value in request["headers"] if found == name), None)
