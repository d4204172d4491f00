"""`Store`: the ledgers of all regions, as the gateway calls them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from gaugepost.async_client import AsyncProducer
from gaugepost.errors import StoreError
from gaugepost.keys import Keys
from gaugepost.ledger.api_keys import ApiKeyCalls
from gaugepost_ops.web.large_bodies import LARGE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gaugepost.client import Producer
    from gaugepost.ledger import Accepted, Entry, JobView
    from gaugepost.ledger.scripts import Call
    from gaugepost.regions import Region
    from gaugepost.settings import Settings
    from gaugepost.states import JobState

T = TypeVar("T")

LONGEST_CALL_S = 1.5
"""A call takes no longer than this, so that a request gets its 503 within 2 s while Redis is away."""


class Store(AsyncProducer):
    """The ledgers of all regions. All calls raise the errors of errors.py."""

    def __init__(self, settings: Settings) -> None:
        timeout = min(settings.store_timeout, LONGEST_CALL_S)
        super().__init__(settings.model_copy(update={"store_timeout": timeout}))
        self.api_keys = {region: ApiKeyCalls(Keys(region, settings.namespace)) for region in settings.regions}

    async def run(self, region: Region, call: Call[T]) -> T:
        """Run one call on the ledger of a region."""
        return await self._region(region)[1](call)

    async def accept(self, region: Region, entries: Sequence[Entry], *, no_conflict: bool = False) -> list[Accepted]:
        """Store all these jobs of one region in one script, or none.

        `no_conflict`: store none if one job conflicts. Raises IdempotencyConflict, with its position.
        """
        calls, run = self._region(region)
        make = partial(calls.enqueue, entries, no_conflict=no_conflict)
        is_large = sum(entry.size for entry in entries) > LARGE  # a thread compresses and encrypts it
        accepted = await run(await asyncio.to_thread(make) if is_large else make())
        if report := calls.report(entries):
            with suppress(StoreError):
                await run(report)
        return accepted

    async def read(self, region: Region, ids: Sequence[str]) -> list[JobView | None]:
        """Read at most AT_ONCE jobs of a region; None for an unknown id."""
        calls, run = self._region(region)
        return await run(calls.read(ids))

    async def states(self, region: Region, ids: Sequence[str]) -> list[JobState | None]:
        """Read the states of at most AT_ONCE jobs of a region; None for an unknown id."""
        calls, run = self._region(region)
        return await run(calls.states(ids))

    @property
    def blocking(self) -> Producer:
        """The same ledgers for calls in a thread."""
        return self._in_thread()
