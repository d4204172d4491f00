"""Enqueue jobs while the caller iterates over their receipts. Without iteration nothing is stored, with a warning."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

R = TypeVar("R")
T = TypeVar("T")


class _WarnIfUnused:
    """Emit a ResourceWarning when the object is deleted before its first use."""

    _used = False
    _mistake = ""

    def __del__(self) -> None:
        if not self._used:
            warnings.warn(f"{self._mistake}: no job was enqueued", ResourceWarning, stacklevel=2, source=self)


class Stream(_WarnIfUnused, Iterator[R]):
    """The receipts of `enqueue_stream`, one after another."""

    _mistake = "enqueue_stream() was not iterated"

    def __init__(self, receipts: Iterator[R]) -> None:
        self._receipts = receipts

    def __next__(self) -> R:
        self._used = True
        return next(self._receipts)


class Enqueuing(_WarnIfUnused, AsyncIterator[R], Generic[R, T]):
    """A call of `AsyncProducer.enqueue_many`: await it for all receipts, or iterate over them."""

    _mistake = "enqueue_many() was neither awaited nor iterated"

    def __init__(self, receipts: AsyncIterator[R], enqueue_all: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._receipts = receipts
        self._enqueue_all = enqueue_all

    def __await__(self) -> Generator[Any, Any, T]:
        self._used = True
        return self._enqueue_all().__await__()

    async def __anext__(self) -> R:
        self._used = True
        return await anext(self._receipts)
