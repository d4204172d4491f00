"""The parts of an upload as rows of JSON, with the names and the forecast starts that they have in the lane."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gaugepost.jobs.file import Stored, unique_name
from gaugepost.ledger.holds import iso
from gaugepost.uploads import PlannedPart
from gaugepost_ops.cli.uploads.lanes import content_row, forecast_starts, lane_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gaugepost.ledger import FileSet, Ledger


def enqueued_parts(ledger: Ledger, files: FileSet, parts: Sequence[PlannedPart]) -> list[PlannedPart]:
    """Return the parts with the names under which they are sent, and with forecasts from their places in the lane.

    If a worker has taken the first part already, it keeps its earlier forecast.
    """
    dues = forecast_starts(ledger, lane_of(ledger, files.family))[1]
    return [
        PlannedPart(replace(part.plan, name=unique_name(part.plan.name, files.id)), dues.get(job_id, part.due))
        for job_id, part in zip(files.parts, parts, strict=True)
    ]


def part_row(part: PlannedPart, files: FileSet | None) -> dict[str, Any]:
    """Return the row of `upload --json`. `files`: None if nothing was stored."""
    plan = part.plan
    content = Stored(
        sha256=plan.sha256,
        size=plan.bytes,
        rows=plan.rows,
        name=plan.name,
        set=files and files.id,
        part=plan.number,
        of=plan.of,
    )
    job_id = files.parts[plan.number - 1] if files else None
    return {"id": job_id, **content_row(content), "bytes": content.size, "due": iso(part.due)}
