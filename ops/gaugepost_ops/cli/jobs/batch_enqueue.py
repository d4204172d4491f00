"""Sends checked jobs in batches and keeps account, so that whatever happens it can be said what was accepted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gaugepost.errors import GaugepostError, IdempotencyConflict, InvalidJob, StoreUnreachable
from gaugepost.ledger import Entry
from gaugepost_ops.cli.common import Exit, Failure, note, write_rows
from gaugepost_ops.cli.jobs.enqueued_row import EnqueuedRow
from gaugepost_ops.cli.jobs.json_lines import changed_since_check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gaugepost.client import Producer
    from gaugepost.mappings import Mappings
    from gaugepost.regions import Region
    from gaugepost_ops.cli.jobs.json_lines import NumberedJob
    from gaugepost_ops.cli.jobs.result_poll import ResultPoll

_MAX_WARNINGS_SHOWN = 10


@dataclass(frozen=True, slots=True)
class _NumberedEntry:
    """A job on its way in and the line it came from."""

    line: int
    entry: Entry


@dataclass(slots=True)
class BatchEnqueuer:
    """Sends to the regions' ledgers: rows go to stdout, or to `poll` if they are waited for."""

    producer: Producer
    poll: ResultPoll | None = None
    count: int = 0
    conflicts: int = 0
    """Lines that were not stored: their idempotency key belongs to a job of another kind or content."""
    _unanswered: list[int] = field(default_factory=list)
    """The lines whose fate hangs on an answer that has not come."""
    _reached: set[Region] = field(default_factory=set)
    _warning_count: int = 0

    def send(self, jobs: Iterable[Sequence[NumberedJob]], on_sent: Callable[[int], None] = lambda _: None) -> None:
        """Send all batches, in order; `on_sent` hears of each. Says on stderr what was accepted if it cannot go on."""
        try:
            for batch in jobs:
                self._send(batch)
                on_sent(len(batch))
        except BrokenPipeError:
            self._note_where_it_stopped()
            raise Failure(Exit.FAILED, "stdout was closed before all was enqueued") from None
        except (GaugepostError, Failure, OSError, KeyboardInterrupt):
            self._note_where_it_stopped()
            raise
        finally:
            self._note_more_warnings()

    def _send(self, batch: Sequence[NumberedJob]) -> None:
        rows: list[EnqueuedRow] = []
        entries = [_NumberedEntry(numbered.line, _entry(numbered, self.producer.mappings)) for numbered in batch]
        try:
            for region in dict.fromkeys(one.entry.job.region for one in entries):
                rows += self._send_to(region, [one for one in entries if one.entry.job.region == region])
        finally:
            self.count += len(rows)
            self._report(sorted(rows, key=lambda row: row.line))

    def _send_to(self, region: Region, group: Sequence[_NumberedEntry]) -> list[EnqueuedRow]:
        """Send what goes to one region: all of it is accepted, or nothing, or the answer does not come."""
        ledger = self.producer.ledger(region)
        if region not in self._reached:
            ledger.holds()  # a Redis that is not there is found before anything was asked of it
            self._reached.add(region)
        self._unanswered = [one.line for one in group]
        try:
            accepted = ledger.enqueue([one.entry for one in group])
        except StoreUnreachable:
            raise
        except GaugepostError:
            self._unanswered = []
            raise
        self._unanswered = []
        return [
            EnqueuedRow(one.line, region, receipt, one.entry.warnings)
            for one, receipt in zip(group, accepted, strict=True)
        ]

    def _report(self, rows: Sequence[EnqueuedRow]) -> None:
        self._note_warnings(rows)
        conflicts = [row for row in rows if row.accepted.conflict]
        for row in conflicts:
            note(f"line {row.line}: {IdempotencyConflict(row.accepted.id)}")
        self.conflicts += len(conflicts)
        if self.poll is None:
            write_rows(row.to_dict() for row in rows)
        else:
            write_rows(row.to_dict() for row in conflicts)
            self.poll.add([row for row in rows if not row.accepted.conflict])

    def _note_warnings(self, rows: Sequence[EnqueuedRow]) -> None:
        """Tell the first lines that do not fit their mapping; the others are counted at the end."""
        for row in rows:
            if row.warnings:
                self._warning_count += 1
                if self._warning_count <= _MAX_WARNINGS_SHOWN:
                    note(f"line {row.line}: warning: {'; '.join(row.warnings)}")

    def _note_more_warnings(self) -> None:
        if (more := self._warning_count - _MAX_WARNINGS_SHOWN) > 0:
            note(f"{more:,} more {'line has' if more == 1 else 'lines have'} warnings: see their rows")

    def _note_where_it_stopped(self) -> None:
        """Say where it stopped."""
        if not self.count and not self._unanswered:
            note("nothing was enqueued")
            return
        accepted_text = f"{self.count:,} lines were accepted"
        if self._unanswered:
            accepted_text += f"; no answer came for {len(self._unanswered):,} more (lines {self._unanswered[0]:,} to {self._unanswered[-1]:,})"
        note(f"{accepted_text}; the rest was not. Enqueuing all of it again is safe for jobs with an idempotency_key.")


def _entry(numbered: NumberedJob, mappings: Mappings | None) -> Entry:
    try:
        return Entry.of(numbered.job, mappings)
    except InvalidJob as problem:
        raise changed_since_check(numbered.line, problem) from None
