"""Enqueue jobs while the caller iterates over their receipts. Without iteration nothing is stored, with a warning."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

R = TypeVar("R")
T = TypeVar("T")


class _Warns:
    """Warns when it is forgotten before it has begun."""

    _begun = False
    _missed = ""

    def __del__(self) -> None:
        if not self._begun:
            warnings.warn(f"{self._missed}: no job was enqueued", ResourceWarning, stacklevel=2, source=self)


class Stream(_Warns, Iterator[R]):
    """The receipts of `enqueue_stream`, one after another."""

    _missed = "enqueue_stream() was not iterated"

    def __init__(self, receipts: Iterator[R]) -> None:
        self._receipts = receipts

    def __next__(self) -> R:
        self._begun = True
        return next(self._receipts)


class Enqueuing(_Warns, AsyncIterator[R], Generic[R, T]):
    """A call of `AsyncProducer.enqueue_many`: await it for all receipts, or take them one after another."""

    _missed = "enqueue_many() was neither awaited nor iterated"

    def __init__(self, receipts: AsyncIterator[R], all_of_them: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._receipts = receipts
        self._all = all_of_them

    def __await__(self) -> Generator[Any, Any, T]:
        self._begun = True
        return self._all().__await__()

    async def __anext__(self) -> R:
        self._begun = True
        return await anext(self._receipts)
