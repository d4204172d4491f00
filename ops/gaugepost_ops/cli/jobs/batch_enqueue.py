"""Enqueue checked jobs in batches. If it stops early, say on stderr which lines were accepted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gaugepost.errors import GaugepostError, IdempotencyConflict, InvalidJob, StoreUnreachable
from gaugepost.ledger import Entry
from gaugepost.together import ALONE, Together
from gaugepost_ops.cli.common import Exit, Failure, note, write_rows
from gaugepost_ops.cli.jobs.enqueued_row import EnqueuedRow
from gaugepost_ops.cli.jobs.json_lines import changed_since_check
from gaugepost_ops.cli.output.formatting import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from gaugepost.client import Producer
    from gaugepost.regions import Region
    from gaugepost_ops.cli.jobs.json_lines import NumberedJob
    from gaugepost_ops.cli.jobs.result_poll import ResultPoll

_MAX_WARNINGS_SHOWN = 10


@dataclass(frozen=True, slots=True)
class _NumberedEntry:
    """An entry for the ledger and the number of its line."""

    line: int
    entry: Entry


@dataclass(slots=True)
class BatchEnqueuer:
    """Sends jobs to the ledgers of their regions. Writes a row for each to stdout, or gives it to `poll`, if set."""

    producer: Producer
    poll: ResultPoll | None = None
    together: Together = ALONE
    count: int = 0
    conflicts: int = 0
    """The number of jobs that were not stored, because their idempotency key belongs to a different job."""
    _unanswered: list[int] = field(default_factory=list)
    """Lines that were sent to Redis and have no answer yet."""
    _reached: set[Region] = field(default_factory=set)
    _warning_count: int = 0

    def send(self, jobs: Iterable[Sequence[NumberedJob]], on_sent: Callable[[int], None] = lambda _: None) -> None:
        """Send all batches, in order, and call `on_sent` with the size of each. If it fails, note what was accepted.

        Raises GaugepostError, Failure or OSError.
        """
        try:
            for batch in jobs:
                self._send(batch)
                on_sent(len(batch))
        except BrokenPipeError:
            self._note_where_it_stopped()
            raise Failure(Exit.FAILED, "stdout was closed before all jobs were enqueued") from None
        except (GaugepostError, Failure, OSError, KeyboardInterrupt):
            self._note_where_it_stopped()
            raise
        finally:
            self._note_more_warnings()

    def _send(self, batch: Sequence[NumberedJob]) -> None:
        rows: list[EnqueuedRow] = []
        entries = [_NumberedEntry(numbered.line, self._entry(numbered)) for numbered in batch]
        try:
            for region in dict.fromkeys(one.entry.job.region for one in entries):
                rows += self._send_to(region, [one for one in entries if one.entry.job.region == region])
        finally:
            self.count += len(rows)
            self._report(sorted(rows, key=lambda row: row.line))

    def _entry(self, numbered: NumberedJob) -> Entry:
        try:
            job = self.together.named(numbered.job)
            return Entry.of(job, self.producer.mappings, self.together.asks(job.region))
        except InvalidJob as problem:
            raise changed_since_check(numbered.line, problem) from None

    def _send_to(self, region: Region, group: Sequence[_NumberedEntry]) -> list[EnqueuedRow]:
        """Send the jobs of one region. Redis accepts all or none; if it does not answer, it is not known which."""
        ledger = self.producer.ledger(region)
        if region not in self._reached:
            ledger.holds()  # if Redis is down, this fails, and it is sure that no job was accepted
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
        """Note the warnings of the first lines that do not match their mapping."""
        for row in rows:
            if row.warnings:
                self._warning_count += 1
                if self._warning_count <= _MAX_WARNINGS_SHOWN:
                    note(f"line {row.line}: warning: {'; '.join(row.warnings)}")

    def _note_more_warnings(self) -> None:
        if (more := self._warning_count - _MAX_WARNINGS_SHOWN) > 0:
            note(f"{counted(more, 'more line has', 'more lines have')} warnings: see `warnings` in their rows")

    def _note_where_it_stopped(self) -> None:
        """Note which lines were accepted, and for which Redis gave no answer."""
        if not self.count and not self._unanswered:
            note("nothing was enqueued")
            return
        facts = [f"{self.count:,} lines were accepted"]
        if lines := self._unanswered:
            facts.append(f"no answer came for {len(lines):,} more (lines {lines[0]:,} to {lines[-1]:,})")
        facts.append("the rest was not enqueued")
        note(f"{'; '.join(facts)}. It is safe to enqueue all jobs again that have an idempotency_key.")
