"""Change one job over HTTP: cancel it, replay it, settle it."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import FastAPI, Request
from pydantic import BaseModel, Field
from pydantic_core import to_json
from starlette.responses import Response

from gaugepost.ledger.api_keys import Scope
from gaugepost.states import JobState
from gaugepost_ops.web.auditing import recorded
from gaugepost_ops.web.jobs import find, row_of
from gaugepost_ops.web.json_bodies import read_model
from gaugepost_ops.web.problems import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from gaugepost.ledger import JobView, Ledger
    from gaugepost_ops.web.callers import Caller
    from gaugepost_ops.web.gateway import Gateway

    Change = Callable[[Ledger], list[tuple[JobState | None, bool]]]


class Why(BaseModel, extra="forbid"):
    """The body of `POST /v1/jobs/{id}/replay`; it may be empty."""

    reason: Annotated[str, Field(max_length=500)] = ""


class Resolution(Why):
    """The body of `POST /v1/jobs/{id}/settle`: what a person found out at CustomerGauge."""

    resolution: Annotated[Literal["delivered", "dead"], Field(alias="as")]


def add_routes(api: FastAPI) -> None:
    """Add the routes of this module."""
    for name, endpoint in (("cancel", cancel), ("replay", replay), ("settle", settle)):
        api.add_api_route(f"/v1/jobs/{{job_id}}/{name}", endpoint, methods=["POST"])


async def cancel(request: Request, job_id: str) -> Response:
    """Cancel a job that no worker has sent."""
    gateway: Gateway = request.app.state.gateway
    caller = await gateway.caller(request.scope)
    view = await find(gateway, caller, job_id)
    _may_cancel(caller, view)
    change: Change = lambda ledger: ledger.cancel([job_id], by=caller.name)  # noqa: E731
    return await _changed(gateway, caller, view, ("cancel", ""), change, JobState.CANCELLED)


def _may_cancel(caller: Caller, view: JobView) -> None:
    """Raise Refused unless the key has the scope `operate`, or the scope `enqueue` and the source of the job."""
    key = caller.key_for(view.region)
    if Scope.OPERATE in key.scopes:
        return
    caller.require(Scope.ENQUEUE)
    if key.source is None or key.source != view.job.get("source"):
        raise Refused(HTTPStatus.FORBIDDEN, "with the scope enqueue, a key cancels only jobs of its own source")


async def replay(request: Request, job_id: str) -> Response:
    """Queue a dead or parked job again."""
    gateway: Gateway = request.app.state.gateway
    caller = await gateway.caller(request.scope, Scope.OPERATE)
    why, caller = await read_model(request, caller, Why, may_be_empty=True)
    view = await find(gateway, caller, job_id)
    change: Change = lambda ledger: ledger.replay([job_id], caller.name, why.reason)  # noqa: E731
    return await _changed(gateway, caller, view, ("replay", why.reason), change)


async def settle(request: Request, job_id: str) -> Response:
    """Record what became of a job whose answer was lost."""
    gateway: Gateway = request.app.state.gateway
    caller = await gateway.caller(request.scope, Scope.OPERATE)
    found, caller = await read_model(request, caller, Resolution, may_be_empty=True)
    view = await find(gateway, caller, job_id)
    to = JobState(found.resolution)
    change: Change = lambda ledger: ledger.resolve([job_id], to, caller.name, found.reason)  # noqa: E731
    return await _changed(gateway, caller, view, ("settle", found.reason), change, to)


async def _changed(
    gateway: Gateway,
    caller: Caller,
    view: JobView,
    action: tuple[str, str],
    change: Change,
    wanted: JobState | None = None,
) -> Response:
    """Change a job, and return it. Raises Refused (409) if nothing was changed and it is not in the state `wanted`."""
    done = await asyncio.to_thread(_carry_out, gateway.store.blocking.ledger(view.region), caller, view, action, change)
    after = await find(gateway, caller, view.id)
    if not done and after.state is not wanted:
        detail = f"nothing was changed: it is {after.state}" + (f" ({after.reason})" if after.reason else "")
        raise Refused(HTTPStatus.CONFLICT, detail, state=str(after.state))
    return Response(to_json(await row_of(gateway, after)), media_type="application/json")


def _carry_out(ledger: Ledger, caller: Caller, view: JobView, action: tuple[str, str], change: Change) -> bool:
    name, reason = action
    with recorded(ledger, caller, name, view.id, reason) as record:
        [(_, done)] = change(ledger)
        record.count = int(done)
    return done
