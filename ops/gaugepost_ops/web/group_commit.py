"""Group commit: single enqueues that arrive while Redis stores others go to it as one script call.

A request waits for the call before its own: less than a millisecond. It is acknowledged only after its own script.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Protocol

import structlog

from gaugepost.batches import Batch
from gaugepost.errors import StoreError, StoreUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gaugepost.ledger import Accepted, Entry
    from gaugepost.regions import Region
    from gaugepost_ops.web.store import Store


log = structlog.get_logger("gaugepost.gateway")


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
        """Store a group. If it is refused as a whole, as by a full backlog or one bad job, store those that can be."""
        try:
            accepted = await self._store.accept(self._region, [entry for entry, _ in group])
        except Exception as error:
            if isinstance(error, StoreError) or len(group) == 1:
                raise
            await self._store_each(group)
            return
        for (_, waiter), receipt in zip(group, accepted, strict=True):
            _answer(waiter, partial(waiter.set_result, receipt))

    async def _store_each(self, group: Sequence[_Waiter]) -> None:
        for one in group:
            try:
                await self._store_group([one])
            except StoreUnreachable:
                raise
            except Exception as error:  # noqa: BLE001 - this waiter gets it
                _fail([one], error)


def _fail(group: Sequence[_Waiter], error: Exception) -> None:
    for _, waiter in group:
        _answer(waiter, partial(waiter.set_exception, error))


def _answer(waiter: Waiting, give: Callable[[], None]) -> None:
    """Answer one waiter. If its answer fails, the others must still get theirs: their jobs are stored, or are not."""
    try:
        if not waiter.done():
            give()
    except Exception:
        log.exception("answer failed")
