"""Split the values of one call into several scripts. Redis runs one script at a time, so each must be short."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

T = TypeVar("T")

AT_ONCE = 200
BYTES_AT_ONCE = 1_000_000


def chunks(values: Iterable[T], size: Callable[[T], int]) -> Iterator[Sequence[T]]:
    """Yield the values in order, in chunks of at most `AT_ONCE` values and about `BYTES_AT_ONCE` bytes by `size`."""
    chunk: list[T] = []
    total = 0
    for value in values:
        added = size(value)
        if chunk and (len(chunk) == AT_ONCE or total + added > BYTES_AT_ONCE):
            yield chunk
            chunk, total = [], 0
        chunk.append(value)
        total += added
    if chunk:
        yield chunk
