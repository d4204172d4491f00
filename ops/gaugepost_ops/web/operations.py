"""Operations over HTTP: bulk actions that workers carry out. The same filters, texts and rows as the command line."""

from __future__ import annotations

import asyncio
import re
from http import HTTPStatus
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from fastapi import FastAPI, Request
from pydantic import BaseModel, Field, model_validator
from pydantic_core import to_json
from starlette.responses import Response

from gaugepost.ledger.api_keys import Scope
from gaugepost.ledger.edits import Edits
from gaugepost.ledger.finding import LOOKED_AT
from gaugepost.ledger.operations import STATES, Action, Operation, OperationState, new_operation_id
from gaugepost.regions import Region
from gaugepost.states import JobState
from gaugepost.verdict import Verdict
from gaugepost_ops.cli.aliases import aliased
from gaugepost_ops.cli.common import Failure, Kind, RegionLedgers, given_time
from gaugepost_ops.cli.jobs.edits import edits_of
from gaugepost_ops.cli.jobs.filters import FilterOptions, without_repeats
from gaugepost_ops.cli.jobs.groups import dry_run_rows
from gaugepost_ops.cli.jobs.references import Walk, Wanted
from gaugepost_ops.web.auditing import recorded
from gaugepost_ops.web.json_bodies import read_model
from gaugepost_ops.web.overview import of_regions
from gaugepost_ops.web.problems import Refused
from gaugepost_ops.web.region_search import find_in_regions

if TYPE_CHECKING:
    from gaugepost.client import Producer
    from gaugepost.ledger import Ledger
    from gaugepost_ops.web.callers import Caller
    from gaugepost_ops.web.gateway import Gateway

MOST_BODY = 1_000_000
_ID = re.compile("op-[0-9a-f]{12}")
_JSON = "application/json"
_REFERENCES = ("key", "label", "batch", "case", "email", "phone")

Text = Annotated[str | None, Field(min_length=1, max_length=300)]


class OperationFilter(BaseModel, extra="forbid"):
    """Which jobs an operation changes. An empty filter is refused: name a state, or a reference such as `batch`."""

    state: JobState | None = None
    kind: Kind | None = None
    verdict: Verdict | None = None
    configuration: Text = None
    source: Text = None
    fields: Annotated[tuple[Annotated[str, Field(max_length=300)], ...], Field(max_length=20)] = ()
    key: Text = None
    label: Text = None
    batch: Text = None
    case: Text = None
    email: Text = None
    phone: Text = None
    since: Text = None
    until: Text = None

    def options(self) -> FilterOptions:
        """Return the filter as the command line has it. Raises Failure for a malformed time."""
        given = ((sort, getattr(self, sort)) for sort in _REFERENCES)
        return FilterOptions(
            self.kind,
            self.verdict,
            self.configuration,
            self.source,
            self.fields,
            given_time("since", self.since),
            given_time("until", self.until),
            references=tuple((sort, value) for sort, value in given if value is not None),
        )


class NewOperation(BaseModel, extra="forbid"):
    """The body of `POST /v1/operations`."""

    action: Action
    region: Region
    filter: OperationFilter
    set: Annotated[
        dict[str, str | None],
        Field(
            max_length=20,
            description='For replay: field → new value, null removes it: {"record.Email": "a@b.example"}. '
            'For settle: {"as": "delivered"} or {"as": "dead"}.',
        ),
    ] = {}
    rate: Annotated[int | None, Field(ge=1, le=1_000_000, description="At most so many jobs a second.")] = None
    limit: Annotated[int | None, Field(ge=1, le=10_000_000, description="At most so many jobs: the oldest.")] = None
    reason: Annotated[str, Field(max_length=500)] = ""
    dry_run: Annotated[bool, Field(description="Change nothing; count the jobs by groups.")] = False

    @model_validator(mode="after")
    def _fits(self) -> Self:
        allowed = STATES[self.action]
        references = any(getattr(self.filter, sort) for sort in _REFERENCES)
        if self.filter.state not in allowed and (self.filter.state is not None or not references):
            raise ValueError(f"filter: expected a state of {', '.join(allowed)}, or a reference such as batch")
        if self.action is Action.SETTLE and (set(self.set) != {"as"} or self.set["as"] not in {"delivered", "dead"}):
            raise ValueError('set: expected {"as": "delivered"} or {"as": "dead"}')
        if self.action is Action.CANCEL and self.set:
            raise ValueError("set: expected none for cancel")
        return self

    def to(self) -> JobState | None:
        """Return the state that `settle` gives the jobs."""
        return JobState(str(self.set["as"])) if self.action is Action.SETTLE else None

    def edits(self, producer: Producer) -> Edits:
        """Return the changes of `replay`. Raises Failure; InvalidJob for an alias of another region."""
        if self.action is not Action.REPLAY:
            return Edits()
        return edits_of(self.set, producer.mappings).resolved(self.region)


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
            return Response(to_json(await asyncio.to_thread(_dry_run, producer, wanted)), media_type=_JSON)
        row = await asyncio.to_thread(_start, producer, caller, wanted)
    except Failure as error:
        raise _refused(error) from None
    headers = {"Location": f"/v1/operations/{row['id']}"}
    return Response(to_json(row), HTTPStatus.CREATED, headers, media_type=_JSON)


def _refused(error: Failure) -> Refused:
    """Return the refusal for a text of the command line about its options."""
    message = str(error)
    return Refused(HTTPStatus.UNPROCESSABLE_ENTITY, message, errors=[{"field": "", "message": message}])


def _dry_run(producer: Producer, wanted: NewOperation) -> dict[str, Any]:
    """Return the rows of `--dry-run --json`. `complete`: whether it looked at all jobs."""
    options, state = wanted.filter.options(), wanted.filter.state
    wanted.edits(producer)
    matches = options.of_region(state, producer, wanted.region).matches
    regions = RegionLedgers(producer, wanted.region, quiet=True)
    states = (state,) if state else STATES[wanted.action]
    search = Walk(regions, states, Wanted(options.references, options.since, options.until), LOOKED_AT)
    found = filter(matches, without_repeats(iter(search)))
    views = list(islice(found, LOOKED_AT))
    regions.require_all_reached()
    views = sorted(views, key=lambda view: view.stamp)[: wanted.limit]
    groups = [aliased(row, producer) for row in dry_run_rows(views)]
    return {"dry_run": True, "matched": len(views), "complete": not search.stopped, "groups": groups}


def _start(producer: Producer, caller: Caller, wanted: NewOperation) -> dict[str, Any]:
    ledger, options = producer.ledger(wanted.region), wanted.filter.options()
    job_filter, edits = options.of_region(wanted.filter.state, producer, wanted.region), wanted.edits(producer)
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
    _, found = await _find(gateway, caller, operation_id)
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


async def _find(gateway: Gateway, caller: Caller, operation_id: str) -> tuple[Ledger, Operation]:
    """Return an operation, and the ledger of its region. Raises Refused (404), StoreUnreachable."""

    def read(region: Region) -> tuple[Ledger, Operation] | None:
        ledger = gateway.store.blocking.ledger(region)
        found = ledger.operations.show(operation_id)
        return None if found is None else (ledger, found)

    absent = "no such operation: GET /v1/operations lists those of 100 days"
    is_id = _ID.fullmatch(operation_id) is not None
    return await find_in_regions(caller, lambda region: asyncio.to_thread(read, region), absent, is_id=is_id)


_TO = {"pause": OperationState.PAUSED, "resume": OperationState.RUNNING, "abort": OperationState.ABORTED}


async def _control(request: Request, operation_id: str, name: Literal["pause", "resume", "abort"]) -> Response:
    gateway: Gateway = request.app.state.gateway
    caller = await gateway.caller(request.scope, Scope.OPERATE)
    ledger, before = await _find(gateway, caller, operation_id)
    row = await asyncio.to_thread(_change, ledger, caller, before, name)
    return Response(to_json(row), media_type=_JSON)


def _change(ledger: Ledger, caller: Caller, before: Operation, name: str) -> dict[str, Any]:
    """Pause, resume or abort an operation, and return its row. Raises Refused (409) if it has ended."""
    with recorded(ledger, caller, f"operations {name}", before.id) as record:
        after = getattr(ledger.operations, name)(before.id) or before
        record.is_done = not before.has_ended and after.state is _TO[name]
        record.count = int(record.is_done and before.state is not _TO[name])
    if not record.is_done:
        raise Refused(HTTPStatus.CONFLICT, f"nothing was changed: it is {after.state}", state=str(after.state))
    row: dict[str, Any] = after.to_dict()
    return row
