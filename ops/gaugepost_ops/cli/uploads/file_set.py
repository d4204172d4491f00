"""`gaugepost job SET`: show one upload: its progress, the result of its rows, and when its parts start."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from gaugepost.ledger.file_sets import SET_PREFIX
from gaugepost.ledger.holds import iso
from gaugepost.redaction import MARK, redact, redact_messages
from gaugepost.set_view import known_headings
from gaugepost.states import ENDED, JobState
from gaugepost_ops.cli.common import console, note
from gaugepost_ops.cli.output.formatting import clock, clock_iso, counted, printable, wait
from gaugepost_ops.cli.output.state_text import STYLES, describe_state
from gaugepost_ops.cli.output.text_layout import print_hanging
from gaugepost_ops.cli.uploads.lanes import lane_of, stored

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gaugepost.jobs import FileResult
    from gaugepost.ledger import FileSet, JobView, Ledger
    from gaugepost.set_view import SetView
    from gaugepost_ops.cli.common import RegionLedgers
    from gaugepost_ops.cli.uploads.lanes import DueTimes

_MESSAGES = 5
_BAR = 16
_UNREMARKABLE = frozenset({"delivered", "waiting", "cancelled"})


def is_set(job_id: str) -> bool:
    """Return whether the id is that of a file set, and not of a job."""
    return job_id.startswith(SET_PREFIX)


def find_set(regions: RegionLedgers, set_id: str) -> tuple[Ledger, FileSet] | None:
    """Return an upload and the ledger that has it; None if no region knows it."""
    for ledger in regions.ledgers():
        with regions.skip_unreachable(ledger.region):
            files = ledger.file_sets.find(set_id)
            if files is not None:
                return ledger, files
    return None


def to_dict(view: SetView, ledger: Ledger, dues: DueTimes, *, show_data: bool) -> dict[str, Any]:
    """Return the JSON object of `gaugepost job SET --json`."""
    files = view.files
    parts = [_part(view, number, dues) for number in range(len(files.parts))]
    waiting = [part["due"] for part in parts if part["due"]]
    whole = view.result()
    result = whole.model_dump(mode="json", exclude={"upload_id"}) | {"upload_ids": view.uploads()}
    return {
        "id": files.id,
        "region": files.region,
        "family": files.family,
        "filename": files.filename,
        "rows": files.rows,
        "states": view.counts(),
        "ended": view.has_ended,
        "rows_delivered": sum(part["rows"] or 0 for part in parts if part["state"] == "delivered"),
        "next_due": min(waiting, default=None),
        "last_due": max(waiting, default=None),
        "result": result if show_data else redact(result, _headings(ledger, view, whole)),
        "undone": _undone(view, ledger),
        "parts": parts,
    }


def _headings(ledger: Ledger, view: SetView, result: FileResult) -> tuple[str, ...]:
    """Return the file's headings, which a message may name without being redacted; empty without messages."""
    return known_headings(ledger, view) if result.messages else ()


def _undone(view: SetView, ledger: Ledger) -> dict[str, Any] | None:
    """Return who undid the upload, when, and the state of each deletion (None once its retention has passed)."""
    if view.undo is None:
        return None
    jobs = ledger.read(list(view.undo.deletions.values()))
    deletions = [
        {"upload_id": upload, "id": job_id, "state": str(job.state) if job else None}
        for (upload, job_id), job in zip(view.undo.deletions.items(), jobs, strict=True)
    ]
    return {"at": iso(view.undo.at), "by": view.undo.by, "deletions": deletions}


def _part(view: SetView, number: int, dues: DueTimes) -> dict[str, Any]:
    part = view.parts[number]
    if part is None:
        names = ("filename", "rows", "due", "ended_at", "reason", "until", "verdict")
        return {"part": number + 1, "id": view.files.parts[number], "state": "forgotten"} | dict.fromkeys(names)
    content = stored(part)
    return {
        "part": content.part,
        "id": part.id,
        "state": str(part.state),
        "filename": content.name,
        "rows": content.rows,
        "due": iso(dues.of(part)),
        "ended_at": iso(part.ended_at),
        "reason": part.why_waits,
        "until": iso(part.until),
        "verdict": part.last_verdict,
    }


def print_set(view: SetView, ledger: Ledger, dues: DueTimes, *, show_data: bool) -> None:
    """Print an upload for people."""
    from rich.text import Text  # noqa: PLC0415 - --json does without rich

    out = console()
    files = view.files
    now = ledger.upload_lane(lane_of(ledger, files.family)).now
    print_hanging(out, Text(), f"{printable(files.filename)} in {files.region}, {files.family}", at=0, style="bold")
    for name, value in (*_facts(view, dues, now), *_undo_facts(_undone(view, ledger))):
        print_hanging(out, Text(f"  {name}", "dim"), printable(value), at=14)
    _print_notable_parts(view)
    _print_messages(view, ledger, show_data=show_data)


def _undo_facts(undone: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    if undone is None:
        return
    by = f" by {undone['by']}" if undone["by"] else ""
    yield "undone", f"{clock_iso(undone['at'])}{by}"
    for one in undone["deletions"]:
        state = {"delivered": "deleted", None: "deletion forgotten"}.get(one["state"], f"deletion {one['state']}")
        yield "", f"upload {one['upload_id']}: {state}, job {one['id']}"


def _facts(view: SetView, dues: DueTimes, now: int) -> Iterator[tuple[str, str]]:
    files = view.files
    yield "id", files.id
    yield "parts", f"{len(files.parts):,}: " + ", ".join(f"{n:,} {state}" for state, n in view.counts().items())
    yield "progress", _progress(view)
    yield from _result(view)
    waiting = [part for part in view.parts if part and part.state is JobState.WAITING]
    if waiting:
        yield from _forecast(waiting, dues, now)
    elif view.has_ended:
        last = max((part.ended_at or 0 for part in view.parts if part), default=0)
        yield "ended", clock(last) if last else "long ago"
    else:
        yield "ends", "when CustomerGauge has processed all parts; all are sent"


def _progress(view: SetView) -> str:
    done = sum(stored(part).rows for part in view.parts if part and part.state is JobState.DELIVERED)
    whole = view.files.rows
    filled = _BAR * done // max(whole, 1)
    return f"{'#' * filled}{'.' * (_BAR - filled)}  {done:,} of {whole:,} rows"


def _result(view: SetView) -> Iterator[tuple[str, str]]:
    result = view.result()
    if result.total is not None:
        taken, refused = result.successful or 0, result.unsuccessful or 0
        yield "result", f"{taken:,} of {result.total:,} rows successful, {refused:,} unsuccessful"


def _forecast(waiting: list[JobView], dues: DueTimes, now: int) -> Iterator[tuple[str, str]]:
    times = [due for due in map(dues.of, waiting) if due is not None]
    if not times:
        yield "next part", waiting[0].reason or "not known"
        return
    yield "next part", f"part {stored(waiting[0]).part}: {clock(min(times))}, {wait(min(times), now)}"
    yield "last part", f"part {stored(waiting[-1]).part}: {clock(max(times))}, {wait(max(times), now)}"


def _print_notable_parts(view: SetView) -> None:
    """Print the parts that are neither delivered nor cancelled nor waiting for their slot."""
    from rich.text import Text  # noqa: PLC0415

    out = console()
    notable = [part for part in view.parts if part and str(part.state) not in _UNREMARKABLE]
    if notable:
        out.print()
    digits = len(f"{len(view.parts)}")
    for part in notable:
        text = describe_state(part.state, part.why_waits, part.verdict, clock(part.until), part.meaning)
        head = Text(f"  part {stored(part).part:<{digits}}  {part.id}  ")
        print_hanging(out, head, printable(text), at=head.cell_len, style=STYLES.get(part.state, ""))


def _print_messages(view: SetView, ledger: Ledger, *, show_data: bool) -> None:
    from rich.text import Text  # noqa: PLC0415

    out = console()
    result = view.result()
    whole = list(result.messages)
    messages = whole if show_data else redact_messages(whole, _headings(ledger, view, result))
    if messages:
        out.print()
    for message in messages[:_MESSAGES]:
        print_hanging(out, Text(), printable(message), at=2)
    if len(messages) > _MESSAGES:
        out.print(f"  and {len(messages) - _MESSAGES:,} more (--json)")
    if messages != whole:
        out.print(f"  {MARK}: text that may quote a row is hidden; --show-data shows it", style="dim")
    warnings = Counter(warning for part in view.parts if part for warning in part.warnings)
    for warning, times in warnings.items():
        print_hanging(out, Text(), f"{counted(times, 'part')}: {printable(warning)}", at=2)
    if result.rejected:
        command = f"gaugepost uploads rejects {view.files.id} > rejects{_extension(view.files.filename)}"
        note(f"CustomerGauge refused rows. To get them: {command}")


def _extension(filename: str) -> str:
    ending = "." + filename.rpartition(".")[2].lower()
    return ".xlsx" if ending == ".xls" else ending


def describe_cancel(view: SetView, cancelled: int) -> str:
    """Return a line about a cancelled upload: `2 parts cancelled; too late for 3 delivered`."""
    counts: Mapping[str, int] = view.counts()
    open_ones = [part for part in view.parts if part and part.state not in ENDED]
    text = f"{counted(cancelled, 'part')} cancelled"
    before = counts.get("cancelled", 0) - cancelled
    if before:
        text += f", {counted(before, 'part')} before"
    others = {state: number for state, number in counts.items() if state != "cancelled"}
    if others:
        text += "; too late for " + ", ".join(f"{number:,} {state}" for state, number in others.items())
    if open_ones:
        text += " (workers follow the sent parts until CustomerGauge has processed them)"
    return text
