"""Sends checked jobs in batches and keeps account, so that whatever happens it can be said what was accepted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gaugepost.cli.common import Failure, note, write_rows
from gaugepost.cli.lines import changed
from gaugepost.errors import GaugepostError, InvalidJob, StoreUnreachable
from gaugepost.ledger import Entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gaugepost.cli.lines import Numbered
    from gaugepost.cli.waiting import Watch
    from gaugepost.client import Producer
    from gaugepost.ledger import Accepted
    from gaugepost.regions import Region


@dataclass(frozen=True, slots=True)
class Row:
    """An accepted job and the line it came from."""

    line: int
    region: Region
    accepted: Accepted

    def to_dict(self) -> dict[str, object]:
        """Return it as `enqueue` prints it."""
        one = self.accepted
        return {"line": self.line, "id": one.id, "state": str(one.state), "duplicate": one.duplicate}


@dataclass(slots=True)
class Sender:
    """Sends to the regions' ledgers: rows go to stdout, or to `watch` if they are waited for."""

    producer: Producer
    watch: Watch | None = None
    count: int = 0
    _asked: list[int] = field(default_factory=list)
    """The lines whose fate hangs on an answer that has not come."""

    def send(self, jobs: Iterable[Sequence[Numbered]]) -> None:
        """Send all batches, in order. Says on stderr what was accepted if it cannot go on."""
        try:
            for batch in jobs:
                self._send(batch)
        except (GaugepostError, Failure, OSError, KeyboardInterrupt) as error:
            self._account(error)
            raise

    def _send(self, batch: Sequence[Numbered]) -> None:
        rows: list[Row] = []
        entries = [(numbered.line, _entry(numbered)) for numbered in batch]
        try:
            for region in dict.fromkeys(entry.job.region for _, entry in entries):
                rows += self._send_to(region, [pair for pair in entries if pair[1].job.region == region])
        finally:
            self.count += len(rows)
            self._give(sorted(rows, key=lambda row: row.line))
