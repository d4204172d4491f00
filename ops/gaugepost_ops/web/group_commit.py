"""Group commit: single enqueues that arrive while Redis stores others go to it as one script call.

A request waits for the call before its own: less than a millisecond. It is acknowledged only after its own script.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from gaugepost.batches import Batch
from gaugepost.errors import BacklogFull, GaugepostError, StoreUnreachable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gaugepost.ledger import Accepted, Entry
    from gaugepost.regions import Region
    from gaugepost_ops.web.store import Store


class Waiting(Protocol):
    """What waits for its job to be stored, such as a future. `done`: it waits no more."""

    def done(self) -> bool: ...

    def set_result(self, accepted: Accepted, /) -> None: ...

    def set_exception(self, error: Exception, /) -> None: ...


_Waiter = tuple["Entry", Waiting]


class GroupCommit:
    """The single enqueues of one region."""

    def __init__(self, store: Store, region: Region) -> None:
        self._store = store
        self._region = region
        self._waiting: list[_Waiter] = []
        self._storing: asyncio.Task[None] | None = None

    async def accept(self, entry: Entry) -> Accepted:
        """Store one job. Raises the errors of `Store.accept`."""
        accepted: asyncio.Future[Accepted] = asyncio.get_running_loop().create_future()
        self.add(entry, accepted)
        return await accepted

    def add(self, entry: Entry, waiting: Waiting) -> None:
        """Store one job, and set the result or the error of what waits for it."""
        self._waiting.append((entry, waiting))
        if self._storing is None or self._storing.done():
            self._storing = asyncio.get_running_loop().create_task(self._store_all())

    async def _store_all(self) -> None:
        while self._waiting:
            group = self._take()
            try:
                await self._store_group(group)
            except StoreUnreachable as error:
                # Those that wait would only wait for the next failure. Their jobs were not sent to Redis.
                self._waiting, failed = [], [*group, *self._waiting]
                _fail(failed, error)
            except Exception as error:  # noqa: BLE001 - each waiter must get an answer; it raises the error
                _fail(group, error)

    def _take(self) -> list[_Waiter]:
        """Take the waiters of one script call, in the order of their arrival."""
        batch, taken = Batch(), 0
        for entry, _ in self._waiting:
            taken += 1
            if not batch.add(entry):
                break
        group, self._waiting = self._waiting[:taken], self._waiting[taken:]
        return group

    async def _store_group(self, group: Sequence[_Waiter]) -> None:
        """Store a group. If the backlog has no room for all of it, store as many as it has room for."""
        try:
            accepted = await self._store.accept(self._region, [entry for entry, _ in group])
        except BacklogFull:
            if len(group) == 1:
                raise
            for one in group:
                try:
                    await self._store_group([one])
                except StoreUnreachable:
                    raise
                except GaugepostError as error:
                    _fail([one], error)
            return
        for (_, waiter), receipt in zip(group, accepted, strict=True):
            if not waiter.done():
                waiter.set_result(receipt)


def _fail(group: Sequence[_Waiter], error: Exception) -> None:
    for _, waiter in group:
        if not waiter.done():
            waiter.set_exception(error)
