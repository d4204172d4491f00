"""`Uploads`: check a file of any length, split it into parts, enqueue them as one file set, and view the set.

`plan` shows the parts and when each would start, and stores nothing. `upload` enqueues the planned parts.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from gaugepost.admission import check_region
from gaugepost.errors import InvalidJob, Problem, StoreUnreachable
from gaugepost.files import PartPlan, Upload, content, inspect, reasons, rejects, split
from gaugepost.jobs import File, FileDelete
from gaugepost.jobs.file import Stored, unique_name
from gaugepost.ledger import Entry, FileSet, Undo
from gaugepost.ledger.entry import due_ms, new_job_id
from gaugepost.ledger.file_sets import new_set_id
from gaugepost.lookup import Lookup
from gaugepost.set_view import SetView, read_brief_set, read_set, rejected_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from gaugepost.file_families import Family
    from gaugepost.ledger import Ledger
    from gaugepost.receipts import Receipt
    from gaugepost.regions import Region
    from gaugepost.settings import Settings


class _Producer(Protocol):
    """The calls of a producer that `Uploads` uses."""

    @property
    def settings(self) -> Settings: ...

    def ledger(self, region: Region) -> Ledger: ...

    def enqueue(self, job: FileDelete, *, idempotency_key: str | None = None) -> Receipt[Any]: ...


@dataclass(frozen=True, slots=True)
class PlannedPart:
    """One part of a file. `due`: when it starts, Unix ms; None while a person holds the upload lane."""

    plan: PartPlan
    due: int | None


class Uploads:
    """Upload files of any length, as file sets."""

    def __init__(self, producer: _Producer) -> None:
        self._producer = producer

    def forecast(
        self,
        region: Region,
        files: int,
        family: Family = "transactional",
        *,
        first: bool = False,
        deliver_at: datetime | None = None,
    ) -> list[int | None]:
        """Return when each of `files` further files would start: Unix ms, or None while a person holds the region.

        `first`: they go before all waiting files. `deliver_at`: not before this time. Raises InvalidJob for a region
        that is not in GAUGEPOST_REGIONS.
        """
        check_region(region, self._producer.settings.regions)
        ledger = self._producer.ledger(region)
        return ledger.upload_lane(_lane(ledger, family), first=first).starts(files, due_ms(deliver_at) or 0)

    def plan(
        self, path: Path, region: Region, family: Family, *, first: bool = False, deliver_at: datetime | None = None
    ) -> tuple[Upload, list[PlannedPart]]:
        """Check and split a file, and forecast its parts. Store nothing. Raises InvalidJob.

        Close the returned `Upload`, or use it in a `with` statement. `first` and `deliver_at`: as of `forecast`.
        """
        upload = inspect(path)
        try:
            plans = split(upload)
            starts = self.forecast(region, len(plans), family, first=first, deliver_at=deliver_at)
        except BaseException:
            upload.close()
            raise
        return upload, [PlannedPart(plan, due) for plan, due in zip(plans, starts, strict=True)]

    def upload(  # noqa: PLR0913 - a keyword for each choice
        self,
        upload: Upload,
        parts: Sequence[PlannedPart],
        region: Region,
        family: Family,
        *,
        again: bool = False,
        first: bool = False,
        source: str | None = None,
        deliver_at: datetime | None = None,
        batch: str | None = None,
        progress: Callable[[], None] = lambda: None,
    ) -> FileSet:
        """Enqueue all parts of a file as one file set, or none.

        `again`: allow a file that was uploaded in the last 30 days. `first`: go before all waiting files. `deliver_at`:
        send no part before this time. `batch`: that of all parts. `progress` is called after each part's content is
        stored.
        Raises InvalidJob if the file was uploaded before, BacklogFull, StoreFull, StoreUnreachable.
        """
        check_region(region, self._producer.settings.regions)
        ledger = self._producer.ledger(region)
        set_id = new_set_id()
        common = {"region": region, "family": family, "source": source, "deliver_at": deliver_at, "batch": batch}
        entries = [_entry(set_id, upload, part.plan, common) for part in parts]
        ids = [entry.id for entry in entries]
        files = FileSet(set_id, region, family, upload.filename, upload.sha256, upload.rows, tuple(ids))
        accepted = ""
        try:
            for entry, part in zip(entries, parts, strict=True):
                ledger.file_sets.stage(entry.id, content(upload, part.plan))
                progress()
            accepted = ledger.file_sets.enqueue(files, entries, again=again, first=first)
        finally:
            if accepted != set_id:
                ledger.file_sets.unstage(ids)
        if accepted != set_id:
            raise uploaded_before(accepted)
        return files

    def view(self, set_id: str) -> SetView:
        """Return the current state of a file set. Raises JobNotFound."""
        return read_set(*self._find(set_id))

    def _find(self, set_id: str) -> tuple[Ledger, FileSet]:
        search = Lookup(f"file set {set_id}", self._producer.settings)
        for region in search.regions:
            ledger = self._producer.ledger(region)
            try:
                files = ledger.file_sets.find(set_id)
            except StoreUnreachable as error:
                search.failed(region, error)
            else:
                if files is not None:
                    return ledger, files
        raise search.not_found()

    def cancel(self, set_id: str, by: str = "") -> int:
        """Cancel the parts that no worker has sent, and return their number. Sent parts continue to their end."""
        ledger, files = self._find(set_id)
        return sum(done for _, done in ledger.cancel(files.parts, by))

    def rejects(self, set_id: str, *, with_reasons: bool = False) -> bytes:
        """Return the rejected rows, with their header, as one file to correct and upload again.

        `with_reasons`: add a last column with CustomerGauge's message for each row; remove it before the upload.

        Raises InvalidJob if no row was rejected, or if GAUGEPOST_RETENTION_CONTENT of the contents is over.
        """
        ledger, files = self._find(set_id)
        view = read_brief_set(ledger, files)
        result = view.result()
        if not result.rejected:
            raise InvalidJob([Problem("", "CustomerGauge has reported no rejected row of this set")])
        why = reasons(result.messages) if with_reasons else None
        return rejects(list(rejected_parts(ledger, view)), result.rejected, why)

    def undo(self, set_id: str, by: str = "") -> list[Receipt[Any]]:
        """Cancel the parts that were not sent, and enqueue a `FileDelete` for each upload. This deletes responses.

        A second call returns the same deletions: gaugepost deletes no upload twice. A part that is not processed yet
        has no upload id. `view(set_id).not_known()` names such parts; call `undo` again later to delete them. Raises
        JobNotFound, DataSealed.
        """
        self.cancel(set_id, by)
        ledger, files = self._find(set_id)
        uploads = read_brief_set(ledger, files).uploads()
        receipts = [
            self._producer.enqueue(
                FileDelete(region=ledger.region, upload_id=upload), idempotency_key=f"undo:{set_id}:{upload}"
            )
            for upload in uploads
        ]
        deletions = {upload: receipt.id for upload, receipt in zip(uploads, receipts, strict=True)}
        ledger.file_sets.note_undo(set_id, Undo(int(time.time() * 1000), by, deletions))
        return receipts


def uploaded_before(set_id: str) -> InvalidJob:
    """Return the error for a file whose content was enqueued for the same family in the last 30 days."""
    problem = f"was uploaded in the last 30 days as {set_id}; to upload it again, use --again (again=True)"
    return InvalidJob([Problem("content", problem)])


def _lane(ledger: Ledger, family: str) -> str:
    lanes = ledger.upload_lanes()
    return lanes[0] if len(lanes) == 1 else f"files:{family}"


_NAME = re.compile(r"[^/\\\x00-\x1f\"]{1,128}")  # the rule of File.filename


def _entry(set_id: str, upload: Upload, plan: PartPlan, common: Mapping[str, Any]) -> Entry:
    """Return the job of one part; `common`: the fields that all parts have."""
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
    return Entry(new_job_id(), File.model_validate({**common, "filename": filename, "stored": stored}))
