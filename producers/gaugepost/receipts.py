"""Receipts: what `enqueue` returns for one job, and `enqueue_many` for many."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, cast, overload

from gaugepost.ledger import Accepted
from gaugepost.regions import Region
from gaugepost.states import JobState

if TYPE_CHECKING:
    from collections.abc import Callable

R = TypeVar("R")
T = TypeVar("T")


class _JobCalls(Protocol):
    """The calls of a producer that a receipt uses."""

    def state(self, job_id: str, *, region: Region | None = None) -> JobState: ...
    def timeline(self, job_id: str, *, region: Region | None = None) -> list[dict[str, Any]]: ...
    def cancel(self, job_id: str, *, region: Region | None = None) -> bool: ...
    def result(self, job_id: str, timeout: float | None = None, *, region: Region | None = None) -> Any: ...  # noqa: ANN401


class _AsyncJobCalls(Protocol):
    """The calls of an AsyncProducer that a receipt uses."""

    async def state(self, job_id: str, *, region: Region | None = None) -> JobState: ...
    async def timeline(self, job_id: str, *, region: Region | None = None) -> list[dict[str, Any]]: ...
    async def cancel(self, job_id: str, *, region: Region | None = None) -> bool: ...
    async def result(self, job_id: str, timeout: float | None = None, *, region: Region | None = None) -> Any: ...  # noqa: ANN401, ASYNC109


@dataclass(frozen=True, slots=True)
class Receipt(Generic[R]):
    """A stored job. Its calls ask only the Redis of the job's region.

    `duplicate`: an earlier job has the same idempotency key, and `id` is the id of that job. `conflict`: that job has
    other content, so nothing was stored; only `enqueue_many` returns such a receipt. `warnings`: which fields of the
    record do not fit mappings.toml; names of fields, no values.
    """

    id: str
    region: Region
    accepted_as: JobState
    duplicate: bool
    _producer: _JobCalls
    warnings: tuple[str, ...] = ()
    conflict: bool = False

    def state(self) -> JobState:
        """Return the current state of the job. Raises JobNotFound."""
        return self._producer.state(self.id, region=self.region)

    def timeline(self) -> list[dict[str, Any]]:
        """Return the events of the job, oldest first; see `Producer.timeline`."""
        return self._producer.timeline(self.id, region=self.region)

    def cancel(self) -> bool:
        """Cancel the job if no worker has sent it. Return False if it was too late."""
        return self._producer.cancel(self.id, region=self.region)

    def result(self, timeout: float | None = None) -> R:
        """Wait up to `timeout` seconds (None: for ever) until the job is delivered, and return its result.

        Raises JobDead (with verdict, message and field errors), JobCancelled, JobExpired, ResultLost, ResultTimeout,
        DataSealed, JobNotFound.
        """
        return cast("R", self._producer.result(self.id, timeout, region=self.region))


@dataclass(frozen=True, slots=True)
class AsyncReceipt(Generic[R]):
    """A stored job; see `Receipt`."""

    id: str
    region: Region
    accepted_as: JobState
    duplicate: bool
    _producer: _AsyncJobCalls
    warnings: tuple[str, ...] = ()
    conflict: bool = False

    async def state(self) -> JobState:
        """Return the current state of the job. Raises JobNotFound."""
        return await self._producer.state(self.id, region=self.region)

    async def timeline(self) -> list[dict[str, Any]]:
        """Return the events of the job, oldest first; see `Producer.timeline`."""
        return await self._producer.timeline(self.id, region=self.region)

    async def cancel(self) -> bool:
        """Cancel the job if no worker has sent it. Return False if it was too late."""
        return await self._producer.cancel(self.id, region=self.region)

    async def result(self, timeout: float | None = None) -> R:  # noqa: ASYNC109 - the same signature as Receipt's
        """Wait until the job is delivered, and return its result; see `Receipt.result`."""
        return cast("R", await self._producer.result(self.id, timeout, region=self.region))


_PACKED = struct.Struct("16sBBB")
_REGIONS, _STATES = tuple(Region), tuple(JobState)
_NUMBERS = {value: number for values in (_REGIONS, _STATES) for number, value in enumerate(values)}
_DUPLICATE, _CONFLICT = 1, 2


class Receipts(Sequence[T]):
    """The receipts of many jobs, in order. A receipt takes 19 bytes; the object is made when the caller reads it."""

    def __init__(self, make: Callable[[Region, Accepted, tuple[str, ...]], T]) -> None:
        self._make = make
        self._packed = bytearray()
        self._warnings: dict[int, tuple[str, ...]] = {}

    def add(self, region: Region, accepted: Accepted, warnings: tuple[str, ...] = ()) -> None:
        """Add the receipt of one job."""
        if warnings:
            self._warnings[len(self)] = warnings
        flags = _DUPLICATE * accepted.duplicate | _CONFLICT * accepted.conflict
        self._packed += _PACKED.pack(bytes.fromhex(accepted.id), _NUMBERS[region], _NUMBERS[accepted.state], flags)

    def __len__(self) -> int:
        return len(self._packed) // _PACKED.size

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> list[T]: ...

    def __getitem__(self, index: int | slice) -> T | list[T]:
        if isinstance(index, slice):
            return [self._at(number) for number in range(len(self))[index]]
        return self._at(range(len(self))[index])

    def _at(self, number: int) -> T:
        job_id, region, state, flags = _PACKED.unpack_from(self._packed, number * _PACKED.size)
        accepted = Accepted(job_id.hex(), _STATES[state], bool(flags & _DUPLICATE), bool(flags & _CONFLICT))
        return self._make(_REGIONS[region], accepted, self._warnings.get(number, ()))

    @property
    def duplicates(self) -> int:
        """Number of jobs whose idempotency key an earlier job has, conflicts included."""
        return self._count(_DUPLICATE)

    @property
    def conflicts(self) -> int:
        """Number of jobs that were not stored because an earlier job has their idempotency key and other content."""
        return self._count(_CONFLICT)

    def _count(self, flag: int) -> int:
        flags = self._packed[_PACKED.size - 1 :: _PACKED.size]
        return sum(bool(one & flag) for one in flags)

    def __repr__(self) -> str:
        return f"<{len(self):,} receipts, {self.duplicates:,} duplicates, {self.conflicts:,} conflicts>"
