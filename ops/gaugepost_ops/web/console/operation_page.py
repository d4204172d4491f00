"""`/operations/{id}`: the progress of one operation; pause it, let it go on, end it."""

from __future__ import annotations

import asyncio
import re
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal

from gaugepost.errors import StoreUnreachable
from gaugepost.ledger.operations import OperationState
from gaugepost.ledger.users import Role
from gaugepost_ops.web.console.auditing import recorded
from gaugepost_ops.web.console.inputs import see_other
from gaugepost_ops.web.console.rendering import page
from gaugepost_ops.web.console.routes import Console, console_of
from gaugepost_ops.web.console.sessions import visitor_of
from gaugepost_ops.web.problems import Refused

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from gaugepost.client import Producer
    from gaugepost.ledger import Ledger
    from gaugepost.ledger.operations import Operation
    from gaugepost_ops.web.console.sessions import Visitor

    Control = Literal["pause", "resume", "abort"]

_ID = re.compile("op-[0-9a-f]{12}")
_TO = {"pause": OperationState.PAUSED, "resume": OperationState.RUNNING, "abort": OperationState.ABORTED}


def add_routes(console: Console) -> None:
    """Add the routes of this module."""
    console.get("/operations/{operation_id}", show, role=Role.VIEWER)
    for name in ("pause", "resume", "abort"):
        path = f"/operations/{{operation_id}}/{name}"
        console.post(path, partial(control, name), role=Role.OPERATOR, action=f"operations {name}")


async def show(request: Request) -> Response:
    """Show an operation."""
    producer = console_of(request).gateway.store.blocking
    _, found = await asyncio.to_thread(find, producer, request.path_params["operation_id"])
    filter_ = {name: value for name, value in found.to_dict()["filter"].items() if value}
    return page(request, "operation.html", live=True, etag=repr(found), operation=found, conditions=filter_)


def find(producer: Producer, operation_id: str) -> tuple[Ledger, Operation]:
    """Return an operation, and the ledger of its region. Raises Refused (404), StoreUnreachable."""
    away = []
    for region in producer.settings.regions if _ID.fullmatch(operation_id) else ():
        ledger = producer.ledger(region)
        try:
            found = ledger.operations.show(operation_id)
        except StoreUnreachable:
            away.append(region)
        else:
            if found is not None:
                return ledger, found
    if away:
        raise StoreUnreachable(f"{', '.join(away)} could not be asked: Redis cannot be reached")
    raise Refused(HTTPStatus.NOT_FOUND, "there is no such operation: they stay for 100 days")


async def control(name: Control, request: Request) -> Response:
    """Pause an operation, let it go on, or end it."""
    operation_id = request.path_params["operation_id"]
    producer = console_of(request).gateway.store.blocking
    await asyncio.to_thread(_control, producer, visitor_of(request), operation_id, name)
    return see_other(f"/operations/{operation_id}")


def _control(producer: Producer, visitor: Visitor, operation_id: str, name: Control) -> None:
    """Change the state of an operation. Raises Refused (409) if it has ended."""
    ledger, before = find(producer, operation_id)
    with recorded(ledger, visitor, f"operations {name}", operation_id) as record:
        after = getattr(ledger.operations, name)(operation_id) or before
        record.is_done = not before.has_ended and after.state is _TO[name]
        record.count = int(record.is_done and before.state is not _TO[name])
    if not record.is_done:
        raise Refused(HTTPStatus.CONFLICT, f"nothing was changed: the operation is {after.state}")
