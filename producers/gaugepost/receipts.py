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


class _Asks(Protocol):
    """What a receipt needs of its producer."""

    def state(self, job_id: str, *, region: Region | None = None) -> JobState: ...
    def timeline(self, job_id: str, *, region: Region | None = None) -> list[dict[str, Any]]: ...
    def cancel(self, job_id: str, *, region: Region | None = None) -> bool: ...
    def result(self, job_id: str, timeout: float | None = None, *, region: Region | None = None) -> Any: ...  # noqa: ANN401


class _AsksAsync(Protocol):
    """The same of an asyncio producer."""

    async def state(self, job_id: str, *, region: Region | None = None) -> JobState: ...
    async def timeline(self, job_id: str, *, region: Region | None = None) -> list[dict[str, Any]]: ...
    async def cancel(self, job_id: str, *, region: Region | None = None) -> bool: ...
    async def result(self, job_id: str, timeout: float | None = None, *, region: Region | None = None) -> Any: ...  # noqa: ANN401, ASYNC109


@dataclass(frozen=True, slots=True)
class Receipt(Generic[R]):
    """An accepted job. It asks the Redis of its own region alone.

    `duplicate`: its idempotency key was used before, and this is that first job. `conflict`: the first job has other
    content, so nothing was stored; only `enqueue_many` returns such a receipt. `warnings`: what of its record does not
    fit its mapping in mappings.toml; names of fields only.
    """

    id: str
    region: Region
    accepted_as: JobState
    duplicate: bool
    _producer: _Asks
    warnings: tuple[str, ...] = ()
    conflict: bool = False

    def state(self) -> JobState:
        """Return its state now."""
        return self._producer.state(self.id, region=self.region)

    def timeline(self) -> list[dict[str, Any]]:
        """Return what happened to it so far, oldest first."""
        return self._producer.timeline(self.id, region=self.region)

    def cancel(self) -> bool:
        """Cancel it if it has not been sent; False if it was too late."""
        return self._producer.cancel(self.id, region=self.region)

    def result(self, timeout: float | None = None) -> R:
        """Wait up to `timeout` seconds (None: for ever) until it is delivered, and return what CustomerGauge said.

        Raises JobDead (verdict, message, field errors), JobCancelled, JobExpired, ResultTimeout, DataSealed.
        """
        return cast("R", self._producer.result(self.id, timeout, region=self.region))


@dataclass(frozen=True, slots=True)
class AsyncReceipt(Generic[R]):
    """An accepted job; see `Receipt`."""

    id: str
    region: Region
    accepted_as: JobState
    duplicate: bool
    _producer: _AsksAsync
    warnings: tuple[str, ...] = ()
    conflict: bool = False

    async def state(self) -> JobState:
        """Return its state now."""
        return await self._producer.state(self.id, region=self.region)

    async def timeline(self) -> list[dict[str, Any]]:
        """Return what happened to it so far, oldest first."""
        return await self._producer.timeline(self.id, region=self.region)

    async def cancel(self) -> bool:
        """Cancel it if it has not been sent; False if it was too late."""
        return await self._producer.cancel(self.id, region=self.region)

    async def result(self, timeout: float | None = None) -> R:  # noqa: ASYNC109 - the same signature as Receipt's
        """Wait until it is delivered and return what CustomerGauge said; raises as `Receipt.result` does."""
        return cast("R", await self._producer.result(self.id, timeout, region=self.region))


_PACKED = struct.Struct("16sBBB")
_REGIONS, _STATES = tuple(Region), tuple(JobState)
_PLACES = {value: place for values in (_REGIONS, _STATES) for place, value in enumerate(values)}
_DUPLICATE, _CONFLICT = 1, 2


class Receipts(Sequence[T]):
    """The receipts of many jobs, in order. Each takes 19 bytes, and is made when it is looked at."""

    def __init__(self, make: Callable[[Region, Accepted, tuple[str, ...]], T]) -> None:
        self._make = make
        self._packed = bytearray()
        self._warnings: dict[int, tuple[str, ...]] = {}

    def add(self, region: Region, accepted: Accepted, warnings: tuple[str, ...] = ()) -> None:
        """Add one."""
        if warnings:
            self._warnings[len(self)] = warnings
        flags = _DUPLICATE * accepted.duplicate | _CONFLICT * accepted.conflict
        numbers = _PLACES[region], _PLACES[accepted.state], flags
        self._packed += _PACKED.pack(bytes.fromhex(accepted.id), *numbers)

    def __len__(self) -> int:
        return len(self._packed) // _PACKED.size

    @overload
    def __getitem__(self, place: int) -> T: ...

    @overload
    def __getitem__(self, place: slice) -> list[T]: ...

    def __getitem__(self, place: int | slice) -> T | list[T]:
        if isinstance(place, slice):
            return [self._at(number) for number in range(len(self))[place]]
        return self._at(range(len(self))[place])

    def _at(self, number: int) -> T:
        job_id, region, state, flags = _PACKED.unpack_from(self._packed, number * _PACKED.size)
        accepted = Accepted(job_id.hex(), _STATES[state], bool(flags & _DUPLICATE), bool(flags & _CONFLICT))
        return self._make(_REGIONS[region], accepted, self._warnings.get(number, ()))

    @property
    def duplicates(self) -> int:
        """How many are first jobs of an idempotency key that was used before, conflicts included."""
        return self._count(_DUPLICATE)

    @property
    def conflicts(self) -> int:
        """How many were not stored, since the first job of their idempotency key has other content."""
        return self._count(_CONFLICT)

    def _count(self, flag: int) -> int:
        flags = self._packed[_PACKED.size - 1 :: _PACKED.size]
        return sum(bool(one & flag) for one in flags)

    def __repr__(self) -> str:
        return f"<{len(self):,} receipts, {self.duplicates:,} duplicates, {self.conflicts:,} conflicts>"
