"""Operations over HTTP: bulk actions that workers carry out. The same filters, texts and rows as the command line."""

from __future__ import annotations

import asyncio
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal

from fastapi import FastAPI, Request
from pydantic_core import to_json
from starlette.responses import Response

from gaugepost.ledger.api_keys import Scope
from gaugepost.ledger.operations import Operation, OperationState, new_operation_id
from gaugepost.regions import Region
from gaugepost_ops.cli.common import Failure
from gaugepost_ops.web.auditing import recorded
from gaugepost_ops.web.json_bodies import read_model
from gaugepost_ops.web.matching_jobs import check_edits, dry_run
from gaugepost_ops.web.new_operation import NewOperation
from gaugepost_ops.web.overview import of_regions
from gaugepost_ops.web.problems import Refused
from gaugepost_ops.web.region_search import find_in_regions

if TYPE_CHECKING:
    from gaugepost.client import Producer
    from gaugepost.ledger import Ledger
    from gaugepost_ops.web.actors import Actor
    from gaugepost_ops.web.gateway import Gateway

MOST_BODY = 1_000_000
_ID = re.compile("op-[0-9a-f]{12}")
_JSON = "application/json"


def add_routes(api: FastAPI) -> None:
    """Add the routes of this module."""
    api.add_api_route("/v1/operations", list_operations, methods=["GET"])
    api.add_api_route("/v1/operations", start, methods=["POST"])
    api.add_api_route("/v1/operations/{operation_id}", show, methods=["GET"])
    for name, endpoint in (("pause", pause), ("resume", resume), ("abort", abort)):
        api.add_api_route(f"/v1/operations/{{operation_id}}/{name}", endpoint, methods=["POST"])


async def list_operations(request: Request, region: Region | None = None) -> Response:
    """List the newest 100 operations of each region, the newest first."""
    gateway: Gateway = request.app.state.gateway
    caller = await gateway.caller(request.scope, Scope.OPERATE)
    found = await asyncio.to_thread(of_regions, gateway.store.blocking, caller, region, "operations", _rows)
    found["operations"].sort(key=lambda row: row["started_at"], reverse=True)
    return Response(to_json(found), media_type=_JSON)


def _rows(producer: Producer, region: Region) -> list[dict[str, Any]]:
    return [one.to_dict() for one in producer.ledger(region).operations.list()]


async def start(request: Request) -> Response:
    """Start an operation; with `dry_run`, count the jobs that it would change."""
    gateway: Gateway = request.app.state.gateway
    caller = await gateway.caller(request.scope, Scope.OPERATE)
    wanted, caller = await read_model(request, caller, NewOperation, MOST_BODY)
    caller.key_for(wanted.region)
    producer = gateway.store.blocking
    try:
        if wanted.dry_run:
            return Response(to_json(await asyncio.to_thread(dry_run, producer, wanted)), media_type=_JSON)
        row = await asyncio.to_thread(start_new, producer, caller, wanted)
    except Failure as error:
        raise _refused(error) from None
    headers = {"Location": f"/v1/operations/{row['id']}"}
    return Response(to_json(row), HTTPStatus.CREATED, headers, media_type=_JSON)


def _refused(error: Failure) -> Refused:
    """Return the refusal for a text of the command line about its options."""
    message = str(error)
    return Refused(HTTPStatus.UNPROCESSABLE_ENTITY, message, errors=[{"field": "", "message": message}])


def start_new(producer: Producer, caller: Actor, wanted: NewOperation) -> dict[str, Any]:
    """Start an operation, and return its row. Raises Failure for a filter that fits no job."""
    ledger, options = producer.ledger(wanted.region), wanted.filter.options()
    job_filter, edits = options.of_region(wanted.filter.state, producer, wanted.region), wanted.edits(producer)
    if edits:
        check_edits(producer, wanted, edits)
    operation_id = new_operation_id()
    target = f"{options.name(wanted.filter.state, wanted.limit)} operation={operation_id}".strip()
    with recorded(ledger, caller, str(wanted.action), target, wanted.reason) as record:
        started = ledger.operations.start(
            wanted.action,
            job_filter,
            by=caller.name,
            reason=wanted.reason,
            rate=wanted.rate,
            limit=wanted.limit,
            to=wanted.to(),
            edits=edits,
            operation_id=operation_id,
        )
        record.is_done = True
    return started.to_dict()


async def show(request: Request, operation_id: str) -> Response:
    """Show an operation: its state, and how many of its jobs are done or skipped, and why."""
    gateway: Gateway = request.app.state.gateway
    caller = await gateway.caller(request.scope, Scope.OPERATE)
    _, found = await find_operation(gateway, caller, operation_id)
    return Response(to_json(found.to_dict()), media_type=_JSON)


async def pause(request: Request, operation_id: str) -> Response:
    """Pause an operation: workers change no more of its jobs until it is resumed."""
    return await _control(request, operation_id, "pause")


async def resume(request: Request, operation_id: str) -> Response:
    """Let a paused operation go on."""
    return await _control(request, operation_id, "resume")


async def abort(request: Request, operation_id: str) -> Response:
    """End an operation for good. The jobs that it has not changed stay as they are."""
    return await _control(request, operation_id, "abort")


async def find_operation(gateway: Gateway, caller: Actor, operation_id: str) -> tuple[Ledger, Operation]:
    """Return an operation, and the ledger of its region. Raises Refused (404), StoreUnreachable."""

    def read(region: Region) -> tuple[Ledger, Operation] | None:
        ledger = gateway.store.blocking.ledger(region)
        found = ledger.operations.show(operation_id)
        return None if found is None else (ledger, found)

    absent = "no such operation: operations are kept for 100 days"
    is_id = _ID.fullmatch(operation_id) is not None
    return await find_in_regions(caller, lambda region: asyncio.to_thread(read, region), absent, is_id=is_id)


_TO = {"pause": OperationState.PAUSED, "resume": OperationState.RUNNING, "abort": OperationState.ABORTED}


async def _control(request: Request, operation_id: str, name: Literal["pause", "resume", "abort"]) -> Response:
    gateway: Gateway = request.app.state.gateway
    caller = await gateway.caller(request.scope, Scope.OPERATE)
    ledger, before = await find_operation(gateway, caller, operation_id)
    row = await asyncio.to_thread(change_operation, ledger, caller, before, name)
    return Response(to_json(row), media_type=_JSON)


def change_operation(ledger: Ledger, caller: Actor, before: Operation, name: str) -> dict[str, Any]:
    """Pause, resume or abort an operation, and return its row. Raises Refused (409) if it has ended."""
    with recorded(ledger, caller, f"operations {name}", before.id) as record:
        after = getattr(ledger.operations, name)(before.id) or before
        record.is_done = not before.has_ended and after.state is _TO[name]
        record.count = int(record.is_done and before.state is not _TO[name])
    if not record.is_done:
        raise Refused(HTTPStatus.CONFLICT, f"nothing was changed: it is {after.state}", state=str(after.state))
    row: dict[str, Any] = after.to_dict()
    return row
