"""Whether this process ends. Calls that wait, such as long polls, then answer at once."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Stopping:
    """Set once, by SIGTERM. Only the event loop's thread may use it."""

    def __init__(self) -> None:
        self.is_set = False
        self._calls: set[Callable[[], object]] = set()

    def set(self) -> None:
        """Call all functions that `calls` registered."""
        self.is_set = True
        for call in tuple(self._calls):
            call()

    @contextmanager
    def calls(self, function: Callable[[], object]) -> Iterator[None]:
        """Within this block, call the function when the process stops; at once if it stops already."""
        self._calls.add(function)
        if self.is_set:
            function()
        try:
            yield
        finally:
            self._calls.discard(function)
