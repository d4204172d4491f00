"""`gaugepost upload`: check a file of any length, split it into legal parts, and queue them as one set."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gaugepost.errors import BacklogFull, InvalidJob
from gaugepost.files import inspect, split
from gaugepost.jobs.field_types import MAX_AHEAD
from gaugepost.regions import Region
from gaugepost.settings import Settings
from gaugepost.together import Together
from gaugepost.uploads import PlannedPart, uploaded_before
from gaugepost_ops.cli.audited import audited
from gaugepost_ops.cli.common import AsJson, Exit, Failure, FamilyName, console, given_moment, note, served, write_rows
from gaugepost_ops.cli.output.formatting import clock, counted, printable, size, wait
from gaugepost_ops.cli.output.progress import bar
from gaugepost_ops.cli.output.text_layout import print_hanging, print_table
from gaugepost_ops.cli.uploads.lanes import lane_of
from gaugepost_ops.cli.uploads.part_rows import enqueued_parts, part_row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gaugepost.client import Producer
    from gaugepost.files import PartPlan, Upload
    from gaugepost.ledger import FileSet

_MIN_PARTS_FOR_BAR = 20
_SOURCE = r"^[\w.:/-]{1,64}$"


def _later(text: str) -> datetime:
    """Parse `--deliver-at`."""
    given = given_moment("--deliver-at", text)
    at = given if isinstance(given, datetime) else datetime.now(UTC) + given
    if at > datetime.now(UTC) + MAX_AHEAD:
        raise Failure(Exit.USAGE, f"--deliver-at: expected at most {MAX_AHEAD.days} days ahead")
    return at


FilePath = Annotated[Path, typer.Argument(metavar="FILE", help="CSV, XLS, XLSX or XML, up to 200 MB.")]
OfRegion = Annotated[Region, typer.Option(help="The region of the account.")]
OfFamily = Annotated[FamilyName, typer.Option(help="The family of the file: what its rows are.")]
Source = Annotated[str | None, typer.Option(help="The service that uploads it, for listings.", metavar="S")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check, split and forecast; store nothing.")]
Again = Annotated[bool, typer.Option("--again", help="Even if the same content was uploaded in the last 30 days.")]
DeliverAt = Annotated[
    datetime | None,
    typer.Option(
        help="Send no part before this time: with its offset, or `2h`, `3d` from now.",
        metavar="T",
        parser=_later,
    ),
]
Batch = Annotated[str | None, typer.Option(help="The batch of all parts; its canary also stops them.", metavar="NAME")]
First = Annotated[bool, typer.Option("--first", help="Put it before all files that wait in this lane.")]


@dataclass(frozen=True, slots=True)
class _Request:
    """What a call asks for: which file, where to, and how."""

    file: Path
    region: Region
    family: FamilyName
    source: str | None
    deliver_at: datetime | None
    batch: str | None
    again: bool
    first: bool


def upload(  # noqa: PLR0913 - an option each
    file: FilePath,
    region: OfRegion,
    family: OfFamily,
    source: Source = None,
    deliver_at: DeliverAt = None,
    batch: Batch = None,
    *,
    dry_run: DryRun = False,
    again: Again = False,
    first: First = False,
    as_json: AsJson = False,
) -> None:
    """Queue a file of any length: check it, split it, and queue its parts; each upload slot takes one part.

    Prints each part and when it will start. `gaugepost job SET` then shows its progress and its result.

    Example: `gaugepost upload export.csv --region eu --family transactional --dry-run`
    """
    request = _Request(file, region, family, source, deliver_at, batch, again, first)
    with audited("upload", region=region, target=file.name, unless=dry_run) as audit:
        served(Settings.load(), region)
        _check_names(source, batch)
        with _inspected(file) as checked:
            plans = _split(file, checked)
            with audit.open_producer() as producer:  # only now: a file that is refused needs no Redis
                parts = _forecast(producer, request, checked, plans)
                files = None
                if not dry_run:
                    audit.begin(region)
                    files = _enqueue(producer, request, checked, parts)
                    audit.name(files.id)
                    audit.count(region, len(parts))
                    parts = enqueued_parts(producer.ledger(region), files, parts)
                now = producer.ledger(region).upload_lane(lane_of(producer.ledger(region), family)).now
    if as_json:
        write_rows(part_row(part, files) for part in parts)
    else:
        _print(checked, request, files, parts, now)


def _check_names(source: str | None, batch: str | None) -> None:
    Together.of(batch)
    if source is not None and not re.fullmatch(_SOURCE, source):
        raise Failure(Exit.USAGE, "--source: expected 1 to 64 letters, digits and _ . : / -")


def _refused(file: Path, problem: InvalidJob) -> Failure:
    return Failure(Exit.USAGE, f"{file}: {'; '.join(one.expected for one in problem.problems)}")


def _inspected(file: Path) -> Upload:
    try:
        checked = inspect(file)
    except InvalidJob as problem:
        raise _refused(file, problem) from None
    for text in checked.notes:
        note(f"{file}: {text}")
    return checked


def _split(file: Path, checked: Upload) -> Sequence[PartPlan]:
    try:
        return split(checked)
    except InvalidJob as problem:
        raise _refused(file, problem) from None


def _forecast(
    producer: Producer, request: _Request, checked: Upload, plans: Sequence[PartPlan]
) -> Sequence[PlannedPart]:
    """Return the parts with their forecast starts. Raises Failure if the same content was uploaded before."""
    before = producer.ledger(request.region).file_sets.uploaded_before(request.family.value, checked.sha256)
    if before and not request.again:
        raise _refused(request.file, uploaded_before(before))
    dues = producer.uploads.forecast(
        request.region, len(plans), request.family.value, first=request.first, deliver_at=request.deliver_at
    )
    return [PlannedPart(plan, due) for plan, due in zip(plans, dues, strict=True)]


def _enqueue(producer: Producer, request: _Request, checked: Upload, parts: Sequence[PlannedPart]) -> FileSet:
    with bar("queueing", len(parts), worth=_MIN_PARTS_FOR_BAR) as advance:
        try:
            return producer.uploads.upload(
                checked,
                parts,
                request.region,
                request.family.value,
                again=request.again,
                first=request.first,
                source=request.source,
                deliver_at=request.deliver_at,
                batch=request.batch,
                progress=lambda: advance(1),
            )
        except InvalidJob as problem:
            raise _refused(request.file, problem) from None
        except BacklogFull as full:
            limits = "GAUGEPOST_BACKLOG_LIMIT, GAUGEPOST_CONTENT_LIMIT"
            raise Failure(
                Exit.FAILED,
                f"{request.file}: nothing was stored: {full}",
                f"try again when jobs of the region were delivered, or raise the limits ({limits})",
            ) from None


def _print(checked: Upload, request: _Request, files: FileSet | None, parts: Sequence[PlannedPart], now: int) -> None:
    from rich.text import Text  # noqa: PLC0415 - --json does without rich

    out = console()
    cut = f"{len(parts):,} parts" if len(parts) > 1 else "1 part"
    to = f"{request.region}, {request.family}"
    print_hanging(out, Text(), f"{printable(checked.filename)} to {to}", at=0, style="bold")
    of_set = f", set {files.id}" if files else ""
    print_hanging(out, Text(), f"{counted(checked.rows, 'row')}, {size(checked.size)}: {cut}{of_set}", at=0)
    table = [_table_row(part, now) for part in parts]
    print_table(out, table, heading=("PART", "NAME", "ROWS", "SIZE", "DUE", ""), names=1, numbers=(0, 2, 3))
    for line in _closing_lines(parts, files, now):
        print_hanging(out, Text(), line, at=0)


def _table_row(part: PlannedPart, now: int) -> tuple[str, ...]:
    plan = part.plan
    due = ("held", "") if part.due is None else (clock(part.due, seconds=False), wait(part.due, now))
    return f"{plan.number}/{plan.of}", plan.name, f"{plan.rows:,}", size(plan.bytes), *due


def _closing_lines(parts: Sequence[PlannedPart], files: FileSet | None, now: int) -> list[str]:
    """Return the last lines of the output: when the upload ends, if that is known, and the next action."""
    last = parts[-1].due
    if last is None:
        text = ["It is not known when it starts, because the lane is held: see gaugepost uploads."]
    else:
        which = "The last part starts" if len(parts) > 1 else "It starts"
        text = [f"{which} {f'{clock(last)}, {wait(last, now)}' if last > now else 'now'}.", _AFTERWARDS]
    if files is None:
        return [*text, "This was a dry run: nothing was stored."]
    return [*text, f"To follow it: gaugepost job {files.id}"]


_AFTERWARDS = "It ends when CustomerGauge has processed it, usually within an hour after that."
