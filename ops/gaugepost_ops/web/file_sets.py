"""File sets over HTTP: show one, get its rejected rows, cancel and undo it."""

from __future__ import annotations

import asyncio
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from pydantic_core import to_json
from starlette.responses import Response

from gaugepost.errors import InvalidJob, StoreUnreachable
from gaugepost.ledger.api_keys import Scope
from gaugepost.receipts import Receipt
from gaugepost.set_view import read_set
from gaugepost_ops.cli.uploads.file_set import describe_cancel, to_dict
from gaugepost_ops.cli.uploads.lanes import DueTimes
from gaugepost_ops.cli.uploads.upload_undo import UndoEffects, undo_row
from gaugepost_ops.web.auditing import recorded
from gaugepost_ops.web.problems import Refused

if TYPE_CHECKING:
    from gaugepost.client import Producer
    from gaugepost.ledger import FileSet, Ledger
    from gaugepost_ops.web.callers import Caller
    from gaugepost_ops.web.gateway import Gateway

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
    gateway: Gateway = request.app.state.gateway
    caller = await gateway.caller(request.scope, Scope.READ)
    found = await asyncio.to_thread(_show, gateway.store.blocking, caller, set_id)
    return Response(to_json(found), media_type=_JSON)


async def rejects(request: Request, set_id: str, *, reasons: bool = False) -> Response:
    """Get the rows that CustomerGauge refused, with the header, as one file to correct and upload again."""
    gateway: Gateway = request.app.state.gateway
    caller = await gateway.caller(request.scope, Scope.READ)
    return await asyncio.to_thread(_rejects, gateway.store.blocking, caller, set_id, reasons=reasons)


async def cancel(request: Request, set_id: str) -> Response:
    """Cancel the parts that no worker has sent."""
    gateway: Gateway = request.app.state.gateway
    caller = await gateway.caller(request.scope, Scope.OPERATE)
    found = await asyncio.to_thread(_cancel, gateway.store.blocking, caller, set_id)
    return Response(to_json(found), media_type=_JSON)


async def undo(request: Request, set_id: str) -> Response:
    """Cancel the parts that were not sent, and delete the others at CustomerGauge with their survey responses."""
    gateway: Gateway = request.app.state.gateway
    caller = await gateway.caller(request.scope, Scope.OPERATE)
    found = await asyncio.to_thread(_undo, gateway.store.blocking, caller, set_id)
    return Response(to_json(found), media_type=_JSON)


def _find(producer: Producer, caller: Caller, set_id: str) -> tuple[Ledger, FileSet]:
    """Return a set of a region that the caller may see, and the ledger of the region. Raises Refused (404)."""
    away = [*caller.away]
    for region in caller.regions if _SET.fullmatch(set_id) else ():
        ledger = producer.ledger(region)
        try:
            files = ledger.file_sets.find(set_id)
        except StoreUnreachable:
            away.append(region)
        else:
            if files is not None:
                return ledger, files
    if away and _SET.fullmatch(set_id):
        raise StoreUnreachable(f"{', '.join(away)} could not be asked: Redis cannot be reached")
    raise Refused(HTTPStatus.NOT_FOUND, f"no such file in {', '.join(caller.regions)}")


def _show(producer: Producer, caller: Caller, set_id: str) -> dict[str, Any]:
    ledger, files = _find(producer, caller, set_id)
    return to_dict(read_set(ledger, files), ledger, DueTimes(producer), show_data=False)


def _rejects(producer: Producer, caller: Caller, set_id: str, *, reasons: bool) -> Response:
    ledger, files = _find(producer, caller, set_id)
    number = len(read_set(ledger, files).result().rejected)
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


def _cancel(producer: Producer, caller: Caller, set_id: str) -> dict[str, Any]:
    ledger, files = _find(producer, caller, set_id)
    with recorded(ledger, caller, "cancel", set_id) as record:
        record.count = producer.uploads.cancel(set_id, by=caller.name)
    view = read_set(ledger, files)
    if not record.count and not view.counts().get("cancelled"):
        raise Refused(HTTPStatus.CONFLICT, f"nothing was changed: {describe_cancel(view, 0)}")
    return to_dict(view, ledger, DueTimes(producer), show_data=False) | {"cancelled": record.count}


def _undo(producer: Producer, caller: Caller, set_id: str) -> dict[str, Any]:
    ledger, files = _find(producer, caller, set_id)
    before = read_set(ledger, files)
    effects, receipts = UndoEffects.of(before), list[Receipt[Any]]()
    with recorded(ledger, caller, "uploads undo", set_id) as record:
        if effects.uploads or effects.unsent:
            receipts = producer.uploads.undo(set_id, by=caller.name)
            record.count = effects.unsent + len(receipts)
    if not record.count:
        why = (
            "the upload ids of its parts are not known yet: try again later" if effects.not_known else "nothing to undo"
        )
        raise Refused(HTTPStatus.CONFLICT, f"nothing was changed: {why}")
    return undo_row(before, read_set(ledger, files), receipts)
