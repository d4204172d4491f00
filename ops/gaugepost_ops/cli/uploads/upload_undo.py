"""`gaugepost uploads undo`: delete at CustomerGauge what an upload created. It deletes data, so it asks first."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gaugepost.errors import JobNotFound
from gaugepost.regions import Region
from gaugepost.states import JobState
from gaugepost_ops.cli.audited import audited_producer
from gaugepost_ops.cli.common import WHERE_UPLOADS, AsJson, Exit, Failure, note, write_row
from gaugepost_ops.cli.output.formatting import counted, printable
from gaugepost_ops.cli.uploads.lanes import stored

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gaugepost.client import Producer
    from gaugepost.receipts import Receipt
    from gaugepost.set_view import SetView


@dataclass(frozen=True, slots=True)
class UndoEffects:
    """What an undo will do. `not_known`: ids of parts that were or may have been sent, without a known upload id."""

    parts: int
    rows: int
    uploads: int
    unsent: int
    not_known: tuple[str, ...]

    @classmethod
    def of(cls, view: SetView) -> UndoEffects:
        """Count what an undo of this upload will delete and cancel."""
        delivered = [part for part in view.parts if part and part.state is JobState.DELIVERED]
        return cls(
            parts=len(view.parts),
            rows=sum(stored(part).rows for part in delivered),
            uploads=len(view.uploads()),
            unsent=len(view.unsent()),
            not_known=tuple(view.not_known()),
        )

    def question(self, view: SetView) -> str:
        """Return the text of the question, of several lines."""
        files = view.files
        lines = [
            f"Undo {files.filename} in {files.region} ({files.family}), {counted(self.parts, 'part')}:",
            f"  {counted(self.uploads, 'upload')} with {counted(self.rows, 'row')} will be deleted at CustomerGauge,",
            "  and the survey responses that came from them. They cannot be restored.",
        ]
        if self.unsent:
            lines.append(f"  {counted(self.unsent, 'part')} not yet sent will be cancelled.")
        if self.not_known:
            hidden = counted(len(self.not_known), "part")
            lines.append(f"  {hidden} sent, but the upload id is not known yet: cannot be deleted now.")
            lines.append(f"  Undo it again when CustomerGauge has processed it: gaugepost job {files.id}")
        return "\n".join(map(printable, lines))


def undo(
    set_id: Annotated[str, typer.Argument(metavar="SET", help="The id that upload printed.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask (for scripts).")] = False,
    as_json: AsJson = False,
) -> int:
    """Undo an upload: cancel the parts that were not sent, and delete the others at CustomerGauge.

    It also deletes the survey responses that came from them, so it shows the counts and asks first. Each deletion is a
    job. Exit code 1: the upload id of a part is not known; call it again when CustomerGauge has processed that part.

    Example: `gaugepost uploads undo set-0f8fad5bd9cb469fa16570867728950e`
    """
    with audited_producer("uploads undo", target=set_id) as (producer, audit):
        view = find_upload(producer, set_id)
        region = Region(view.files.region)
        audit.begin(region)
        effects = UndoEffects.of(view)
        if not effects.uploads and not effects.unsent:
            note("nothing to undo now" if effects.not_known else "nothing to undo")
            for line in effects.question(view).splitlines()[-2:] if effects.not_known else ():
                note(line)
            return audit.ended(Exit.FAILED if effects.not_known else Exit.DONE)
        _confirm(effects.question(view), yes=yes)
        receipts = producer.uploads.undo(set_id, by=audit.actor)
        audit.count(region, effects.unsent + len(receipts))
        after = producer.uploads.view(set_id)
        audit.ended(Exit.FAILED if after.not_known() else Exit.DONE)
    _print(view, after, receipts, as_json=as_json)
    return audit.code


def find_upload(producer: Producer, set_id: str) -> SetView:
    """Return the upload with this id. Raises Failure if no region knows it."""
    try:
        return producer.uploads.view(set_id)
    except JobNotFound:
        raise Failure(Exit.FAILED, f"no upload {set_id}", WHERE_UPLOADS) from None


def _confirm(question: str, *, yes: bool) -> None:
    """Ask the person at the terminal, unless `yes`. Raises Failure without a terminal, and if the answer is no."""
    for line in question.splitlines():
        note(line)
    if yes:
        return
    if not sys.stdin.isatty():
        raise Failure(Exit.USAGE, "nothing was undone: stdin is no terminal to ask on", "in a script, add --yes")
    if not typer.confirm("Undo it?", default=False, err=True):
        raise Failure(Exit.FAILED, "nothing was undone: the answer was no")


def undo_row(before: SetView, after: SetView, receipts: Sequence[Receipt[Any]]) -> dict[str, Any]:
    """Return the row of `uploads undo --json`. `receipts`: the jobs that delete the uploads."""
    deletions = [
        {"upload_id": upload, "id": receipt.id} for upload, receipt in zip(after.uploads(), receipts, strict=False)
    ]
    cancelled = after.counts().get("cancelled", 0) - before.counts().get("cancelled", 0)
    return {"set": after.files.id, "cancelled": cancelled, "deletions": deletions, "not_known": after.not_known()}


def _print(before: SetView, after: SetView, receipts: Sequence[Receipt[Any]], *, as_json: bool) -> None:
    row = undo_row(before, after, receipts)
    if as_json:
        write_row(row)
        return
    sys.stdout.write(f"cancelled: {counted(row['cancelled'], 'part')}\n")
    for upload, receipt in zip(after.uploads(), receipts, strict=False):
        sys.stdout.write(f"deleting upload {upload}: job {receipt.id}\n")
    for job_id in row["not_known"]:
        sys.stdout.write(f"not deleted, because its upload id is not known: part {job_id}\n")
