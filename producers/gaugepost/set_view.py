"""`SetView`: the current state of a file set: its parts, their results, and who undid it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gaugepost.errors import DataSealed, InvalidJob, Problem
from gaugepost.files import Part, headings
from gaugepost.jobs import FileResult
from gaugepost.jobs.file import Stored
from gaugepost.ledger.chunks import chunks
from gaugepost.ledger.history import History
from gaugepost.states import ENDED, JobState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gaugepost.ledger import FileSet, JobView, Ledger, Undo


@dataclass(frozen=True, slots=True)
class SetView:
    """The current state of a file set. `parts`: the jobs of its parts, in order; None: its retention is over."""

    files: FileSet
    parts: tuple[JobView | None, ...]
    undo: Undo | None = None
    """Who undid the set and when, and the jobs that delete its uploads."""

    def counts(self) -> dict[str, int]:
        """Return state → number of parts; `forgotten` counts the parts whose retention is over."""
        states = [str(part.state) if part else "forgotten" for part in self.parts]
        return {state: states.count(state) for state in dict.fromkeys(states)}

    @property
    def has_ended(self) -> bool:
        """Whether all parts have ended."""
        return all(part is None or part.state in ENDED for part in self.parts)

    def result(self) -> FileResult:
        """Return the sum of the results of all parts that have one. Raises DataSealed."""
        found = self._results()
        return FileResult(
            total=_sum(one.total for one in found),
            successful=_sum(one.successful for one in found),
            unsuccessful=_sum(one.unsuccessful for one in found),
            messages=tuple(message for one in found for message in one.messages),
            rejected=tuple(row for one in found for row in one.rejected),
        )

    def unsent(self) -> list[JobView]:
        """Return the parts that can still be cancelled; not those that CustomerGauge has or may have."""
        return [part for part in self.parts if part and part.state in _CANCELLABLE and not was_sent(part)]

    def not_known(self) -> list[str]:
        """Return the ids of the parts that may be uploaded and have no known upload id; `undo` cannot delete these."""
        return [
            job_id
            for job_id, part in zip(self.files.parts, self.parts, strict=True)
            if part is None or _lacks_upload_id(part)
        ]

    def uploads(self) -> list[int]:
        """Return CustomerGauge's ids of the set's uploads, as far as they are known. Raises DataSealed."""
        return [one.upload_id for one in self._results() if one.upload_id is not None]

    def _results(self) -> list[FileResult]:
        """Return the results of all parts that have one.

        Raises DataSealed if one cannot be decrypted: a sum or an undo without it would be wrong.
        """
        sealed = next((part.sealed for part in self.parts if part and part.sealed), None)
        if sealed:
            raise DataSealed(sealed)
        return [FileResult.model_validate(part.result) for part in self.parts if part and part.result]


_CANCELLABLE = frozenset({JobState.QUEUED, JobState.WAITING, JobState.PARKED})
_AFTER_SENDING = frozenset({"processing", "lost_answer"})


def was_sent(part: JobView) -> bool:
    """Return whether a file that has not ended was sent, or may have been.

    A file that was not sent is `waiting`, not `queued`. A queued file was sent: a worker will read its statistics.
    """
    if part.state is JobState.PARKED:
        return part.reason in _AFTER_SENDING
    return part.state in {JobState.QUEUED, JobState.UNKNOWN}


def _lacks_upload_id(part: JobView) -> bool:
    if part.state is JobState.DELIVERED:
        return (part.result or {}).get("upload_id") is None
    return part.state is JobState.SENDING or was_sent(part)


def _sum(numbers: Iterator[int | None]) -> int | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None


def read_set(ledger: Ledger, files: FileSet) -> SetView:
    """Read the jobs of a file set."""
    return SetView(files, tuple(ledger.read(files.parts)), ledger.file_sets.undo_of(files.id))


def read_brief_set(ledger: Ledger, files: FileSet) -> SetView:
    """Read the jobs of a file set in steps, and keep of each what sums, rows and an undo of the set need.

    A set may have thousands of parts, and together their whole histories take too much memory.
    """
    parts: list[JobView | None] = []
    for ids in chunks(files.parts, len):
        parts += [None if part is None else _brief(part) for part in ledger.read(ids)]
    return SetView(files, tuple(parts), ledger.file_sets.undo_of(files.id))


def _brief(part: JobView) -> JobView:
    """Return a part without its hold, with its last attempt, and with the fields of its job that describe the file."""
    attempts = [entry for entry in part.history.entries if entry["event"] == "attempt"]
    job: dict[str, Any] = {name: part.job[name] for name in ("kind", "family", "stored") if name in part.job}
    return replace(part, job=job, hold=None, history=History(tuple(attempts[-1:])))


def known_headings(ledger: Ledger, view: SetView) -> tuple[str, ...]:
    """Return the names of a set's columns, from the first part whose content is still stored; () if none is."""
    for job_id, part in zip(view.files.parts, view.parts, strict=True):
        content = ledger.file_sets.content(job_id) if part and part.state is JobState.DELIVERED else None
        if content is not None and part is not None:
            return headings(_part(part, content))
    return ()


def rejected_parts(ledger: Ledger, view: SetView) -> Iterator[Part]:
    """Yield the parts that have a rejected row. Raises InvalidJob if a content is no longer stored."""
    for job_id, part in zip(view.files.parts, view.parts, strict=True):
        if part is None or part.state is not JobState.DELIVERED or not (part.result or {}).get("rejected"):
            continue
        text = ledger.file_sets.content(job_id)
        if text is None:
            raise InvalidJob([Problem("", "the contents of this set are no longer stored (RETENTION_CONTENT)")])
        yield _part(part, text)


def _part(part: JobView, text: bytes) -> Part:
    stored = Stored.model_validate(part.job["stored"])
    kind = stored.name.rpartition(".")[2].lower()
    return Part("csv" if kind == "csv" else "xml" if kind == "xml" else "xlsx", text, stored.first_row)
