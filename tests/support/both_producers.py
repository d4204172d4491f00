"""Both producers behind the same blocking calls, and a worker's part for one job."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gaugepost import AsyncProducer, Producer
from gaugepost.ledger import Settlement
from gaugepost.transitions import Attempt, Decision
from support.worker_ledger import worker_ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass
class Asynchronous:
    """The asyncio producer behind the calls of the blocking one, so that one test is for both."""

    producer: AsyncProducer
    loop: asyncio.AbstractEventLoop

    def enqueue(self, job: Any, **more: Any) -> Any:
        return self._receipt(self.run(self.producer.enqueue(job, **more)))

    def enqueue_many(self, jobs: Any, **together: Any) -> list[Any]:
        async def enqueue() -> Any:
            return await self.producer.enqueue_many(jobs, **together)

        return [self._receipt(one) for one in self.run(enqueue())]

    def enqueue_stream(self, jobs: Any, **together: Any) -> Iterator[Any]:
        found = self.producer.enqueue_stream(jobs, **together)

        async def following() -> Any:
            return await anext(found, None)

        while (one := self.run(following())) is not None:
            yield self._receipt(one)

    def _receipt(self, receipt: Any) -> Any:
        return AsynchronousReceipt(receipt, self)

    def run(self, coroutine: Any) -> Any:
        return self.loop.run_until_complete(coroutine)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *args, **more: self.run(getattr(self.producer, name)(*args, **more))


@dataclass
class AsynchronousReceipt:
    """The same for a receipt."""

    receipt: Any
    outer: Asynchronous

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.receipt, name)
        return (lambda *args, **more: self.outer.run(found(*args, **more))) if callable(found) else found


def end(blocking: Producer, job_id: str, how: Any, *attempts: Attempt) -> None:
    """Do a worker's part for one job."""
    ledger = worker_ledger(blocking)
    [claimed] = [one for one in ledger.claim("w", f"{job_id}", 100).jobs if one.id == job_id]
    assert ledger.settle([Settlement(claimed, Decision(how), attempts)]) == [True]
