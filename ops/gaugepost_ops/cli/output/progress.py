"""Progress bars on stderr: only for long work, and only if stderr is a terminal."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def _no_bar(_: int) -> None:
    """Do nothing: there is no bar to advance."""


def bar_beside_rows(title: str, total: int, *, worth: int) -> AbstractContextManager[Callable[[int], None]]:
    """Show a bar for work that prints rows, but not if the rows go to a terminal too."""
    return bar(title, total, worth=sys.maxsize if sys.stdout.isatty() else worth)


@contextmanager
def bar(title: str, total: int, *, worth: int) -> Iterator[Callable[[int], None]]:
    """Show a bar while the block runs, if `total` is at least `worth`. Yields a function that advances the bar."""
    if total < worth or not sys.stderr.isatty():
        yield _no_bar
        return
    from rich.console import Console  # noqa: PLC0415 - most calls show no bar
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    # Rows that go to a file must not be redirected to the terminal with the bar.
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as progress:
        task = progress.add_task(title, total=total)
        yield lambda step: progress.update(task, advance=step)
