"""`/uploads`: the upload lanes in their order with forecasts; and each file: progress, rejected rows, cancel, undo."""

from __future__ import annotations

import asyncio
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from gaugepost.ledger.users import Role
from gaugepost.set_view import read_brief_set
from gaugepost_ops.cli.uploads.lanes import read_lane, sent_state, stored
from gaugepost_ops.cli.uploads.upload_undo import UndoEffects
from gaugepost_ops.web.console.inputs import form_of, see_other
from gaugepost_ops.web.console.people import person_of, region_in, version_of
from gaugepost_ops.web.console.rendering import page
from gaugepost_ops.web.console.routes import Console, Nav, console_of
from gaugepost_ops.web.file_sets import cancel_parts, find_set, rejects_of, row_of, undo_set
from gaugepost_ops.web.overview import of_regions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from starlette.requests import Request
    from starlette.responses import Response

    from gaugepost.client import Producer
    from gaugepost.ledger import FileSet, Hold, JobView, Ledger
    from gaugepost.regions import Region
    from gaugepost_ops.cli.uploads.lanes import LaneView, WaitingFile
    from gaugepost_ops.web.actors import Actor
    from gaugepost_ops.web.gateway import Gateway

    Change = Callable[[Producer, Actor, Ledger, FileSet], object]

SHOWN = 50
_SCHEDULED = "scheduled"
"""The reason of a file that waits for its deliver_at: its lane has not sent it."""


class LaneFile(NamedTuple):
    """Parts of one file that are next to each other in a lane. `first`, `last`: forecast starts, Unix ms."""

    job: str
    set: str | None
    name: str
    parts: str
    rows: int
    state: str
    first: int | None = None
    last: int | None = None


class ShownLane(NamedTuple):
    """A lane with its files in their order. `more`: how many further ones are not shown. Times are Unix ms.

    `opens`: when the next file can start; None: now, or not known while a hold stops the lane.
    """

    region: str
    family: str
    hold: Hold | None
    held_until: int | None
    has_worker: bool
    last_start: int | None
    opens: int | None
    sent: list[LaneFile]
    waiting: list[LaneFile]
    more: int


def add_routes(console: Console) -> None:
    """Add the routes of this module."""
    console.get("/uploads", show, role=Role.VIEWER, nav=Nav("Uploads", "u"))
    console.get("/uploads/{set_id}", show_one, role=Role.VIEWER)
    console.get("/uploads/{set_id}/undo", ask, role=Role.OPERATOR)
    console.post("/uploads/{set_id}/undo", undo, role=Role.OPERATOR, action="uploads undo")
    console.post("/uploads/{set_id}/cancel", cancel, role=Role.OPERATOR, action="cancel")
    console.post("/uploads/{set_id}/rejects", rejects, role=Role.OPERATOR, action="uploads rejects")


async def show(request: Request) -> Response:
    """Show the lanes."""
    region, person = region_in(request), person_of(request)
    producer = console_of(request).gateway.store.blocking
    found = await asyncio.to_thread(of_regions, producer, person, region, "lanes", _lanes)
    away = found.get("not_asked", [])
    return page(
        request,
        "uploads.html",
        live=True,
        etag=version_of(found["lanes"], away),
        lanes=found["lanes"],
        away=away,
        region=region,
        regions=person.all_regions,
    )


def _lanes(producer: Producer, region: Region) -> list[Any]:
    ledger = producer.ledger(region)
    has_worker = ledger.presence().has_worker
    return [_shown(read_lane(ledger, name), has_worker) for name in ledger.upload_lanes()]


def _shown(lane: LaneView, has_worker: bool) -> ShownLane:  # noqa: FBT001 - a fact beside another
    sent = [_file([view], sent_state(view)) for view in lane.sent if view.reason != _SCHEDULED]
    groups = (list(group) for _, group in groupby(lane.waiting, key=lambda one: stored(one.view).set or one.view.id))
    scheduled = [_file([view], _SCHEDULED, [view.until]) for view in lane.sent if view.reason == _SCHEDULED]
    waiting = [_waiting(group) for group in groups] + scheduled
    opens = lane.lane.next_slot()
    return ShownLane(
        lane.region,
        lane.name.partition(":")[2],
        lane.hold,
        lane.held_until,
        has_worker,
        lane.lane.last_start,
        opens if opens and opens > lane.lane.now else None,
        sent[:SHOWN],
        waiting[:SHOWN],
        max(0, len(waiting) - SHOWN) + max(0, len(sent) - SHOWN),
    )


def _waiting(group: list[WaitingFile]) -> LaneFile:
    return _file([one.view for one in group], "waiting", [one.due for one in group])


def _file(views: list[JobView], state: str, dues: Iterable[int | None] = ()) -> LaneFile:
    content, last = stored(views[0]), stored(views[-1])
    known = [due for due in dues if due is not None]
    parts = f"part {content.part}" if content.part == last.part else f"parts {content.part} to {last.part}"
    return LaneFile(
        views[0].id,
        content.set,
        str(views[0].job.get("filename") or content.name),
        f"{parts} of {content.of}" if content.of > 1 else "",
        sum(stored(view).rows for view in views),
        state,
        min(known, default=None),
        max(known, default=None),
    )


async def show_one(request: Request) -> Response:
    """Show a file."""
    ledger, files = await _find(request)
    found, unsent, can_undo = await asyncio.to_thread(_described, console_of(request).gateway, ledger, files)
    version = version_of(found, unsent, can_undo)
    return page(request, "upload.html", live=True, etag=version, one=found, unsent=unsent, can_undo=can_undo)


def _described(gateway: Gateway, ledger: Ledger, files: FileSet) -> tuple[dict[str, Any], int, bool]:
    """Return the row of a file, how many of its parts were not sent, and whether a part can be undone."""
    view = read_brief_set(ledger, files)
    found = row_of(gateway.store.blocking, ledger, view)
    undone = view.undo.deletions if view.undo else {}
    kept = {part.id for part in view.parts if part}
    can_undo = any(one not in undone for one in view.uploads()) or not kept.isdisjoint(view.not_known())
    return found, len(view.unsent()), can_undo


async def _find(request: Request) -> tuple[Ledger, FileSet]:
    return await find_set(console_of(request).gateway, person_of(request), request.path_params["set_id"])


async def ask(request: Request) -> Response:
    """Ask before an undo, which deletes data that nothing can restore."""
    ledger, files = await _find(request)
    view = await asyncio.to_thread(read_brief_set, ledger, files)
    effects = UndoEffects.of(view)
    can = bool(effects.uploads or effects.unsent)
    return page(request, "upload_undo.html", id=files.id, lines=effects.question(view).splitlines(), can=can)


async def undo(request: Request) -> Response:
    """Cancel the parts that were not sent, and delete the others at CustomerGauge."""
    return await _changed(request, undo_set)


async def cancel(request: Request) -> Response:
    """Cancel the parts that were not sent."""
    return await _changed(request, cancel_parts)


async def _changed(request: Request, change: Change) -> Response:
    await form_of(request)
    ledger, files = await _find(request)
    producer = console_of(request).gateway.store.blocking
    await asyncio.to_thread(change, producer, person_of(request), ledger, files)
    return see_other(f"/uploads/{files.id}")


async def rejects(request: Request) -> Response:
    """Return the rows that CustomerGauge refused, as one file to correct and upload again."""
    reasons = "reasons" in await form_of(request)
    ledger, files = await _find(request)
    producer = console_of(request).gateway.store.blocking
    return await asyncio.to_thread(rejects_of, producer, person_of(request), ledger, files, reasons=reasons)
