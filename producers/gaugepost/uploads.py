"""Uploads: a file of any length, checked, split into legal parts, enqueued as one file set, and followed as one.

`plan` answers what would happen, `upload` makes it happen; both say when each part will start.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from gaugepost.admission import check_region
from gaugepost.errors import DataSealed, InvalidJob, Problem, StoreUnreachable
from gaugepost.files import Part, PartPlan, Upload, content, headings, inspect, reasons, rejects, split
from gaugepost.jobs import File, FileDelete, FileResult
from gaugepost.jobs.file import Stored, unique_name
from gaugepost.ledger import Entry, FileSet, Undo
from gaugepost.ledger.entry import new_job_id
from gaugepost.ledger.file_sets import new_set_id
from gaugepost.lookup import Lookup
from gaugepost.states import ENDED, JobState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from gaugepost.jobs.file import Family
    from gaugepost.ledger import JobView, Ledger
    from gaugepost.receipts import Receipt
    from gaugepost.regions import Region
    from gaugepost.settings import Settings


class _Producer(Protocol):
    """What uploads need of their producer."""

    @property
    def settings(self) -> Settings: ...

    def ledger(self, region: Region) -> Ledger: ...

    def enqueue(self, job: FileDelete, *, idempotency_key: str | None = None) -> Receipt[Any]: ...


@dataclass(frozen=True, slots=True)
class PlannedPart:
    """One part and when it will start (`due`, Unix ms; None while the lane is held by a person)."""

    plan: PartPlan
    due: int | None


@dataclass(frozen=True, slots=True)
class SetView:
    """A file set as it stands: its parts' jobs, in order (None: forgotten)."""

    files: FileSet
    parts: tuple[JobView | None, ...]
    undo: Undo | None = None
    """Who undid it, and the jobs that delete its uploads."""

    def counts(self) -> dict[str, int]:
        """Return how many parts are in each state."""
        states = [str(part.state) if part else "forgotten" for part in self.parts]
        return {state: states.count(state) for state in dict.fromkeys(states)}

    @property
    def has_ended(self) -> bool:
        """Tell whether nothing more happens to any part by itself."""
        return all(part is None or part.state in ENDED for part in self.parts)

    def result(self) -> FileResult:
        """Add up the results of the parts that have one."""
        found = self._results()
        return FileResult(
            total=_sum(one.total for one in found),
            successful=_sum(one.successful for one in found),
            unsuccessful=_sum(one.unsuccessful for one in found),
            messages=tuple(message for one in found for message in one.messages),
            rejected=tuple(row for one in found for row in one.rejected),
        )

    def unsent(self) -> list[JobView]:
        """Return the parts that can still be cancelled: not one that CustomerGauge has, or may have."""
        return [part for part in self.parts if part and part.state in _CANCELLABLE and not was_sent(part)]

    def not_known(self) -> list[str]:
        """Name the parts that were sent, or are going out, and whose upload id is not known; forgotten ones too."""
        return [
            job_id for job_id, part in zip(self.files.parts, self.parts, strict=True) if part is None or _hides(part)
        ]

    def uploads(self) -> list[int]:
        """Return CustomerGauge's ids of the uploads that are known: what an undo deletes."""
        return [one.upload_id for one in self._results() if one.upload_id is not None]

    def _results(self) -> list[FileResult]:
        """Return the results there are. Raises DataSealed: a sum, or an undo, must not leave one out."""
        sealed = next((part.sealed for part in self.parts if part and part.sealed), None)
        if sealed:
            raise DataSealed(sealed)
        return [FileResult.model_validate(part.result) for part in self.parts if part and part.result]


_CANCELLABLE = frozenset({JobState.QUEUED, JobState.WAITING, JobState.PARKED})
_AFTER_SENDING = frozenset({"processing", "lost_answer"})


def was_sent(part: JobView) -> bool:
    """Tell whether a file that has not ended was sent, or may have been: its upload is followed, or looked for.

    A file that was not sent waits in its lane, so a queued one waits for a look at the statistics.
    """
    if part.state is JobState.PARKED:
        return part.reason in _AFTER_SENDING
    return part.state in {JobState.QUEUED, JobState.UNKNOWN}


def _hides(part: JobView) -> bool:
    if part.state is JobState.DELIVERED:
        return (part.result or {}).get("upload_id") is None
    return part.state is JobState.SENDING or was_sent(part)


def _sum(numbers: Iterator[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None


class Uploads:
    """Uploads of one producer."""

    def __init__(self, producer: _Producer) -> None:
        self._producer = producer

    def forecast(
        self, region: Region, files: int, family: Family = "transactional", *, first: bool = False
    ) -> list[int | None]:
        """Return when each of `files` more files would start (Unix ms; None: a person holds the region)."""
        check_region(region, self._producer.settings.regions)
        ledger = self._producer.ledger(region)
        return ledger.upload_lane(_lane(ledger, family), first=first).starts(files)

    def plan(
        self, path: Path, region: Region, family: Family, *, first: bool = False
    ) -> tuple[Upload, list[PlannedPart]]:
        """Check and split a file, and forecast its parts; nothing is stored. Raises InvalidJob.

        Close the upload it gives, or use it in a `with` statement.
        """
        upload = inspect(path)
        try:
            plans = split(upload)
            starts = self.forecast(region, len(plans), family, first=first)
        except BaseException:
            upload.close()
            raise
        return upload, [PlannedPart(plan, due) for plan, due in zip(plans, starts, strict=True)]

    def upload(
        self,
        upload: Upload,
        parts: Sequence[PlannedPart],
        region: Region,
        family: Family,
        *,
        again: bool = False,
        first: bool = False,
        source: str | None = None,
        progress: Callable[[], None] = lambda: None,
    ) -> FileSet:
        """Enqueue the parts as one file set, all or none. Raises InvalidJob if it was uploaded before, BacklogFull."""
        check_region(region, self._producer.settings.regions)
        ledger = self._producer.ledger(region)
        set_id = new_set_id()
        entries = [_entry(set_id, upload, part.plan, region, family, source) for part in parts]
        ids = [entry.id for entry in entries]
        files = FileSet(set_id, region, family, upload.filename, upload.sha256, upload.rows, tuple(ids))
        accepted = ""
        try:
            for entry, part in zip(entries, parts, strict=True):
                ledger.stage(entry.id, content(upload, part.plan))
                progress()
            accepted = ledger.enqueue_set(files, entries, again=again, first=first)
        finally:
            if accepted != set_id:
                ledger.unstage(ids)
        if accepted != set_id:
            raise uploaded_before(accepted)
        return files

    def view(self, set_id: str) -> SetView:
        """Return a file set as it stands. Raises JobNotFound."""
        return read_set(*self._find(set_id))

    def _find(self, set_id: str) -> tuple[Ledger, FileSet]:
        search = Lookup(f"file set {set_id}", self._producer.settings)
        for region in search.regions:
            ledger = self._producer.ledger(region)
            try:
                files = ledger.file_set(set_id)
            except StoreUnreachable as error:
                search.failed(region, error)
            else:
                if files is not None:
                    return ledger, files
        raise search.not_found()

    def cancel(self, set_id: str, by: str = "") -> int:
        """Cancel the parts that have not been sent; return how many. One that was sent is followed to its end."""
        ledger, files = self._find(set_id)
        return sum(done for _, done in ledger.cancel(files.parts, by))

    def rejects(self, set_id: str, *, with_reasons: bool = False) -> bytes:
        """Return the rejected rows as one file with its header, to mend and send again.

        `with_reasons`: with what CustomerGauge said of each row, in a last column, which is to be taken out again.

        Raises InvalidJob: no row was rejected, or the contents are not kept any more (RETENTION_CONTENT).
        """
        ledger, files = self._find(set_id)
        view = read_set(ledger, files)
        result = view.result()
        if not result.rejected:
            raise InvalidJob([Problem("", "no row of this set is known to be rejected")])
        why = reasons(result.messages) if with_reasons else None
        return rejects(list(_parts_with(ledger, view)), result.rejected, why)

    def undo(self, set_id: str, by: str = "") -> list[Receipt[Any]]:
        """Cancel what was not sent and enqueue the deletion, at CustomerGauge, of what was. It destroys responses.

        A second call gives the same deletions: nothing is deleted twice. What was sent and is not processed yet has no
        upload id to delete it by: `view(set_id).not_known()` names it, and a later call deletes it.
        """
        self.cancel(set_id, by)
        ledger, files = self._find(set_id)
        uploads = read_set(ledger, files).uploads()
        receipts = [
            self._producer.enqueue(
                FileDelete(region=ledger.region, upload_id=upload), idempotency_key=f"undo:{set_id}:{upload}"
            )
            for upload in uploads
        ]
        deletions = {upload: receipt.id for upload, receipt in zip(uploads, receipts, strict=True)}
        ledger.note_undo(set_id, Undo(int(time.time() * 1000), by, deletions))
        return receipts


def read_set(ledger: Ledger, files: FileSet) -> SetView:
    """Read a file set with all its parts."""
    return SetView(files, tuple(ledger.read(files.parts)), ledger.undo_of(files.id))


def known_headings(ledger: Ledger, view: SetView) -> tuple[str, ...]:
    """Return the names of a set's columns, of whichever part's content is kept; nothing if none is."""
    for job_id, part in zip(view.files.parts, view.parts, strict=True):
        content = ledger.content(job_id) if part and part.state is JobState.DELIVERED else None
        if content is not None and part is not None:
            return headings(_part(part, content))
    return ()


def uploaded_before(set_id: str) -> InvalidJob:
    """Refuse a file whose content and family were queued or sent in the last 30 days."""
    told = f"was uploaded in the last 30 days as {set_id}; say so if you want it again (--again)"
    return InvalidJob([Problem("content", told)])


def _lane(ledger: Ledger, family: str) -> str:
    lanes = ledger.upload_lanes()
    return lanes[0] if len(lanes) == 1 else f"files:{family}"


_NAME = re.compile(r"[^/\\\x00-\x1f\"]{1,128}")  # what File.filename takes


def _entry(set_id: str, upload: Upload, plan: PartPlan, region: Region, family: Family, source: str | None) -> Entry:
    stored = Stored(
        sha256=plan.sha256,
        size=plan.bytes,
        rows=plan.rows,
        name=unique_name(plan.name, set_id),
        first_row=plan.first_row,
        set=set_id,
        part=plan.number,
        of=plan.of,
    )
    filename = upload.filename if _NAME.fullmatch(upload.filename) else plan.name
    told = {"region": region, "family": family, "filename": filename, "stored": stored, "source": source}
    return Entry(new_job_id(), File.model_validate(told))


def _parts_with(ledger: Ledger, view: SetView) -> Iterator[Part]:
    """Give the contents of the parts that had a row rejected."""
    for job_id, part in zip(view.files.parts, view.parts, strict=True):
        if part is None or part.state is not JobState.DELIVERED or not (part.result or {}).get("rejected"):
            continue
        text = ledger.content(job_id)
        if text is None:
            raise InvalidJob([Problem("", "the contents of this set are not kept any more (RETENTION_CONTENT)")])
        yield _part(part, text)


def _part(part: JobView, text: bytes) -> Part:
    stored = Stored.model_validate(part.job["stored"])
    kind = stored.name.rpartition(".")[2].lower()
    return Part("csv" if kind == "csv" else "xml" if kind == "xml" else "xlsx", text, stored.first_row)
