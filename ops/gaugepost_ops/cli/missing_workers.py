"""What a person reads where no worker of a region is there: on stderr, with the command that starts one."""

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
    """The regions without a worker that a command came across."""

    def __init__(self) -> None:
        self._found: dict[Region, str] = {}

    def add(self, region: Region, no_worker: str | None) -> None:
        """Remember a region and since when no worker has been seen; nothing if one is there."""
        if no_worker is not None:
            self._found[region] = no_worker

    def collect(self, views: Iterator[JobView]) -> Iterator[JobView]:
        """Pass jobs on, and remember the regions of those that wait for a worker."""
        for view in views:
            self.add(view.region, view.no_worker)
            yield view

    def note(self) -> None:
        """Say of each of these regions what to start."""
        for region, no_worker in self._found.items():
            text = f"{no_worker}; start one: {start_worker(region)}"
            lines = fold(text, get_terminal_size().columns - _INDENT) if sys.stderr.isatty() else [text]
            for i, line in enumerate(lines):
                note(" " * (_INDENT if i else 0) + line)
