"""File sets over HTTP: show one, get its rejected rows, cancel and undo it."""

from __future__ import annotations

import asyncio
import re
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi import FastAPI, Request
from pydantic_core import to_json
from starlette.responses import Response

from gaugepost.errors import InvalidJob
from gaugepost.ledger.api_keys import Scope
from gaugepost.receipts import Receipt
from gaugepost.set_view import read_brief_set
from gaugepost_ops.cli.uploads.file_set import describe_cancel, to_dict
from gaugepost_ops.cli.uploads.lanes import DueTimes
from gaugepost_ops.cli.uploads.upload_undo import UndoEffects, undo_row
from gaugepost_ops.web.auditing import recorded
from gaugepost_ops.web.problems import Refused
from gaugepost_ops.web.region_search import find_in_regions

if TYPE_CHECKING:
    from collections.abc import Callable

    from gaugepost.client import Producer
    from gaugepost.ledger import FileSet, Ledger
    from gaugepost.regions import Region
    from gaugepost.set_view import SetView
    from gaugepost_ops.web.actors import Actor
    from gaugepost_ops.web.gateway import Gateway

T = TypeVar("T")

_JSON = "application/json"
_SET = re.compile("set-[0-9a-f]{32}")
_TYPES = {
    "csv": "text/csv",
    "xml": "application/xml",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


def add_routes(api: FastAPI) -> None:
    """Add the routes of this module."""
    api.add_api_route("/v1/files/{set_id}", show, methods=["GET"])
    api.add_api_route("/v1/files/{set_id}/rejects", rejects, methods=["GET"])
    api.add_api_route("/v1/files/{set_id}/cancel", cancel, methods=["POST"])
    api.add_api_route("/v1/files/{set_id}/undo", undo, methods=["POST"])


async def show(request: Request, set_id: str) -> Response:
    """Show a file: its parts with their states and forecast starts, and the result of its rows."""
    return Response(to_json(await _with_set(request, Scope.READ, set_id, describe)), media_type=_JSON)


async def rejects(request: Request, set_id: str, *, reasons: bool = False) -> Response:
    """Get the rows that CustomerGauge refused, with the header, as one file to correct and upload again."""
    return await _with_set(request, Scope.READ, set_id, partial(rejects_of, reasons=reasons))


async def cancel(request: Request, set_id: str) -> Response:
    """Cancel the parts that no worker has sent."""
    return Response(to_json(await _with_set(request, Scope.OPERATE, set_id, cancel_parts)), media_type=_JSON)


async def undo(request: Request, set_id: str) -> Response:
    """Cancel the parts that were not sent, and delete the others at CustomerGauge with their survey responses."""
    return Response(to_json(await _with_set(request, Scope.OPERATE, set_id, undo_set)), media_type=_JSON)


async def _with_set(request: Request, scope: Scope, set_id: str, answer: Callable[..., T]) -> T:
    """Return what `answer` makes, in a thread, of a set of a region that the caller may see. Raises Refused."""
    gateway: Gateway = request.app.state.gateway
    caller = await gateway.caller(request.scope, scope)
    ledger, files = await find_set(gateway, caller, set_id)
    return await asyncio.to_thread(answer, gateway.store.blocking, caller, ledger, files)


async def find_set(gateway: Gateway, caller: Actor, set_id: str) -> tuple[Ledger, FileSet]:
    """Return a set, and the ledger of its region. Raises Refused (404), StoreUnreachable."""

    def read(region: Region) -> tuple[Ledger, FileSet] | None:
        ledger = gateway.store.blocking.ledger(region)
        files = ledger.file_sets.find(set_id)
        return None if files is None else (ledger, files)

    absent = f"no such file in {', '.join(caller.regions)}"
    is_id = _SET.fullmatch(set_id) is not None
    return await find_in_regions(caller, lambda region: asyncio.to_thread(read, region), absent, is_id=is_id)


def describe(producer: Producer, caller: Actor, ledger: Ledger, files: FileSet) -> dict[str, Any]:  # noqa: ARG001 - as the others
    """Return the row of `job SET --json`."""
    return row_of(producer, ledger, read_brief_set(ledger, files))


def row_of(producer: Producer, ledger: Ledger, view: SetView) -> dict[str, Any]:
    """Return the row of `job SET --json` of a set that was read."""
    return to_dict(view, ledger, DueTimes(producer), show_data=False)


def rejects_of(producer: Producer, caller: Actor, ledger: Ledger, files: FileSet, *, reasons: bool) -> Response:
    """Return the rejected rows as a file. Raises Refused (404)."""
    set_id = files.id
    number = len(read_brief_set(ledger, files).result().rejected)
    try:
        with recorded(ledger, caller, "uploads rejects", set_id) as record:
            content = producer.uploads.rejects(set_id, with_reasons=reasons)
            record.count = number
    except InvalidJob as none:
        raise Refused(HTTPStatus.NOT_FOUND, str(none)) from None
    ending = files.filename.rpartition(".")[2].lower()
    ending = "xlsx" if ending == "xls" else ending
    headers = {
        "Content-Disposition": f'attachment; filename="rejects.{ending}"',
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return Response(content, headers=headers, media_type=_TYPES.get(ending, "application/octet-stream"))


def cancel_parts(producer: Producer, caller: Actor, ledger: Ledger, files: FileSet) -> dict[str, Any]:
    """Cancel the parts that were not sent, and return the row of the set. Raises Refused (409)."""
    with recorded(ledger, caller, "cancel", files.id) as record:
        record.count = producer.uploads.cancel(files.id, by=caller.name)
    view = read_brief_set(ledger, files)
    if not record.count and not view.counts().get("cancelled"):
        raise Refused(HTTPStatus.CONFLICT, f"nothing was changed: {describe_cancel(view, 0)}")
    return to_dict(view, ledger, DueTimes(producer), show_data=False) | {"cancelled": record.count}


def undo_set(producer: Producer, caller: Actor, ledger: Ledger, files: FileSet) -> dict[str, Any]:
    """Undo an upload, and return what was done. Raises Refused (409)."""
    before = read_brief_set(ledger, files)
    effects, receipts = UndoEffects.of(before), list[Receipt[Any]]()
    with recorded(ledger, caller, "uploads undo", files.id) as record:
        if effects.uploads or effects.unsent:
            receipts = producer.uploads.undo(files.id, by=caller.name)
            record.count = effects.unsent + len(receipts)
    if not record.count:
        why = (
            "the upload ids of its parts are not known yet: try again later" if effects.not_known else "nothing to undo"
        )
        raise Refused(HTTPStatus.CONFLICT, f"nothing was changed: {why}")
    return undo_row(before, read_brief_set(ledger, files), receipts)
