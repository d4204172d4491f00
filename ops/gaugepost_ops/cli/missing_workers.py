"""The note on stderr that a region has no worker, with the command that starts one."""

from __future__ import annotations

import sys
from shutil import get_terminal_size
from typing import TYPE_CHECKING

from gaugepost.ledger.presence import start_worker
from gaugepost_ops.cli.common import note
from gaugepost_ops.cli.output.text_layout import fold

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gaugepost.ledger import JobView
    from gaugepost.regions import Region


_INDENT = 2


class MissingWorkers:
    """The regions without a worker, as far as a command has seen them."""

    def __init__(self) -> None:
        self._found: dict[Region, str] = {}

    def add(self, region: Region, no_worker: str | None) -> None:
        """Add a region; `no_worker` says since when it has no worker, and is None if it has one."""
        if no_worker is not None:
            self._found[region] = no_worker

    def collect(self, views: Iterator[JobView]) -> Iterator[JobView]:
        """Yield the same jobs, and add the regions of those that wait for a worker."""
        for view in views:
            self.add(view.region, view.no_worker)
            yield view

    def note(self) -> None:
        """Write a note for each region: since when it has no worker, and the command that starts one."""
        for region, no_worker in self._found.items():
            text = f"{no_worker}; start one: {start_worker(region)}"
            lines = fold(text, get_terminal_size().columns - _INDENT) if sys.stderr.isatty() else [text]
            for i, line in enumerate(lines):
                note(" " * (_INDENT if i else 0) + line)
