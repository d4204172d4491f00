"""Sends checked jobs in batches and keeps account, so that whatever happens it can be said what was accepted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gaugepost.errors import GaugepostError, IdempotencyConflict, InvalidJob, StoreUnreachable
from gaugepost.ledger import Entry
from gaugepost_ops.cli.common import Exit, Failure, note, write_rows
from gaugepost_ops.cli.jobs.enqueued_row import Row
from gaugepost_ops.cli.jobs.json_lines import changed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gaugepost.client import Producer
    from gaugepost.mappings import Mappings
    from gaugepost.regions import Region
    from gaugepost_ops.cli.jobs.json_lines import Numbered
    from gaugepost_ops.cli.jobs.result_poll import Watch

_TOLD_WARNINGS = 10


@dataclass(frozen=True, slots=True)
class _Numbered:
    """A job on its way in and the line it came from."""

    line: int
    entry: Entry


@dataclass(slots=True)
class Sender:
    """Sends to the regions' ledgers: rows go to stdout, or to `watch` if they are waited for."""

    producer: Producer
    watch: Watch | None = None
    count: int = 0
    conflicts: int = 0
    """Lines that were not stored: their idempotency key belongs to a job of another kind or content."""
    _open: list[int] = field(default_factory=list)
    """The lines whose fate hangs on an answer that has not come."""
    _met: set[Region] = field(default_factory=set)
    _warned: int = 0

    def send(self, jobs: Iterable[Sequence[Numbered]], sent: Callable[[int], None] = lambda _: None) -> None:
        """Send all batches, in order; `sent` hears of each. Says on stderr what was accepted if it cannot go on."""
        try:
            for batch in jobs:
                self._send(batch)
                sent(len(batch))
        except BrokenPipeError:
            self._account()
            raise Failure(Exit.FAILED, "stdout was closed before all was enqueued") from None
        except (GaugepostError, Failure, OSError, KeyboardInterrupt):
            self._account()
            raise
        finally:
            self._count_warnings()

    def _send(self, batch: Sequence[Numbered]) -> None:
        rows: list[Row] = []
        entries = [_Numbered(numbered.line, _entry(numbered, self.producer.mappings)) for numbered in batch]
        try:
            for region in dict.fromkeys(one.entry.job.region for one in entries):
                rows += self._send_to(region, [one for one in entries if one.entry.job.region == region])
        finally:
            self.count += len(rows)
            self._give(sorted(rows, key=lambda row: row.line))

    def _send_to(self, region: Region, group: Sequence[_Numbered]) -> list[Row]:
        """Send what goes to one region: all of it is accepted, or nothing, or the answer does not come."""
        ledger = self.producer.ledger(region)
        if region not in self._met:
            ledger.holds()  # a Redis that is not there is found before anything was asked of it
            self._met.add(region)
        self._open = [one.line for one in group]
        try:
            accepted = ledger.enqueue([one.entry for one in group])
        except StoreUnreachable:
            raise
        except GaugepostError:
            self._open = []
            raise
        self._open = []
        return [
            Row(one.line, region, receipt, one.entry.warnings) for one, receipt in zip(group, accepted, strict=True)
        ]

    def _give(self, rows: Sequence[Row]) -> None:
        self._warn(rows)
        conflicts = [row for row in rows if row.accepted.conflict]
        for row in conflicts:
            note(f"line {row.line}: {IdempotencyConflict(row.accepted.id)}")
        self.conflicts += len(conflicts)
        if self.watch is None:
            write_rows(row.to_dict() for row in rows)
        else:
            write_rows(row.to_dict() for row in conflicts)
            self.watch.add([row for row in rows if not row.accepted.conflict])

    def _warn(self, rows: Sequence[Row]) -> None:
        """Tell the first lines that do not fit their mapping; the others are counted at the end."""
        for row in rows:
            if row.warnings:
                self._warned += 1
                if self._warned <= _TOLD_WARNINGS:
                    note(f"line {row.line}: warning: {'; '.join(row.warnings)}")

    def _count_warnings(self) -> None:
        if (more := self._warned - _TOLD_WARNINGS) > 0:
            note(f"{more:,} more {'line has' if more == 1 else 'lines have'} warnings: see their rows")

    def _account(self) -> None:
        """Say where it stopped."""
        if not self.count and not self._open:
            note("nothing was enqueued")
            return
        told = f"{self.count:,} lines were accepted"
        if self._open:
            told += f"; no answer came for {len(self._open):,} more (lines {self._open[0]:,} to {self._open[-1]:,})"
        note(f"{told}; the rest was not. Enqueuing all of it again is safe for jobs with an idempotency_key.")


def _entry(numbered: Numbered, mappings: Mappings | None) -> Entry:
    try:
        return Entry.of(numbered.job, mappings)
    except InvalidJob as problem:
        raise changed(numbered.line, problem) from None
