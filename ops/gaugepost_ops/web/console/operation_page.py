"""`/operations/{id}`: the progress of one operation; pause it, let it go on, end it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Literal

from gaugepost.ledger.users import Role
from gaugepost_ops.web.console.bulk_actions import WORDS
from gaugepost_ops.web.console.inputs import see_other
from gaugepost_ops.web.console.people import person_of
from gaugepost_ops.web.console.rendering import page
from gaugepost_ops.web.console.routes import Console, console_of
from gaugepost_ops.web.operations import change_operation, find_operation

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from gaugepost.ledger import Ledger
    from gaugepost.ledger.operations import Operation

    Control = Literal["pause", "resume", "abort"]


def add_routes(console: Console) -> None:
    """Add the routes of this module."""
    console.get("/operations/{operation_id}", show, role=Role.VIEWER)
    for name in ("pause", "resume", "abort"):
        path = f"/operations/{{operation_id}}/{name}"
        console.post(path, partial(control, name), role=Role.OPERATOR, action=f"operations {name}")


async def show(request: Request) -> Response:
    """Show an operation."""
    _, found = await _find(request)
    filter_ = {name: value for name, value in found.to_dict()["filter"].items() if value}
    etag = repr(found)
    return page(request, "operation.html", live=True, etag=etag, operation=found, conditions=filter_, words=WORDS)


async def control(name: Control, request: Request) -> Response:
    """Pause an operation, let it go on, or end it."""
    ledger, before = await _find(request)
    await asyncio.to_thread(change_operation, ledger, person_of(request), before, name)
    return see_other(f"/operations/{before.id}")


async def _find(request: Request) -> tuple[Ledger, Operation]:
    return await find_operation(console_of(request).gateway, person_of(request), request.path_params["operation_id"])
