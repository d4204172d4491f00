"""`GET /v1/jobs/{id}`: everything about one job, at once or when it has ended."""

from __future__ import annotations

import asyncio
import re
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import FastAPI, Path, Query, Request
from pydantic_core import to_json
from starlette.responses import Response

from gaugepost.ledger.api_keys import Scope
from gaugepost.states import JobState
from gaugepost_ops.cli.aliases import aliased
from gaugepost_ops.cli.uploads.lanes import DueTimes, job_row
from gaugepost_ops.web.region_search import find_in_regions

if TYPE_CHECKING:
    from gaugepost.ledger import JobView
    from gaugepost_ops.web.callers import Caller
    from gaugepost_ops.web.gateway import Gateway

LONGEST_WAIT_S = 60
_ID = re.compile("[0-9a-f]{32}")


def add_routes(api: FastAPI) -> None:
    """Add the routes of this module."""
    api.add_api_route("/v1/jobs/{job_id}", show, methods=["GET"])


async def show(
    request: Request,
    job_id: Annotated[str, Path(description="The id that `POST /v1/jobs` returned.")],
    wait: Annotated[
        int, Query(ge=0, le=LONGEST_WAIT_S, description="Answer when the job has ended, or after so many seconds.")
    ] = 0,
) -> Response:
    """Show one job: its state, why it waits and until when, each attempt and its verdict, the result."""
    gateway: Gateway = request.app.state.gateway
    caller = await gateway.caller(request.scope, Scope.READ)
    view = await find(gateway, caller, job_id)
    if wait and not view.has_ended:
        await gateway.waiting.for_end(view.region, job_id, wait)
        caller = await gateway.callers.again(caller)
        view = await find(gateway, caller, job_id)
    return Response(to_json(await row_of(gateway, view)), media_type="application/json")


async def find(gateway: Gateway, caller: Caller, job_id: str) -> JobView:
    """Return a job of a region that the caller may see. Raises Refused (404), StoreUnreachable."""
    read = partial(gateway.read_one, job_id=job_id)
    absent = f"no such job in {', '.join(caller.regions)}"
    return await find_in_regions(caller, read, absent, is_id=_ID.fullmatch(job_id) is not None)


async def row_of(gateway: Gateway, view: JobView) -> dict[str, Any]:
    """Return the row of `gaugepost job --json`."""
    if view.kind == "file" and view.state is JobState.WAITING:
        return await asyncio.to_thread(_row, gateway, view)
    return _row(gateway, view)


def _row(gateway: Gateway, view: JobView) -> dict[str, Any]:
    producer = gateway.store.blocking
    return aliased(job_row(view, DueTimes(producer)), producer)
