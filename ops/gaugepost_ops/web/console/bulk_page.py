"""`/jobs/bulk`: what an action on all jobs of a filter would change; and the form that starts it as an operation."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from gaugepost.errors import InvalidQuery
from gaugepost.ledger.operations import Action, new_operation_id
from gaugepost.ledger.users import Role
from gaugepost.states import JobState
from gaugepost_ops.cli.common import Failure
from gaugepost_ops.cli.jobs.groups import Groups
from gaugepost_ops.web.auditing import recorded
from gaugepost_ops.web.console.bulk_actions import WORDS, bulk_title
from gaugepost_ops.web.console.inputs import field, form_of, see_other
from gaugepost_ops.web.console.job_page import reason_in
from gaugepost_ops.web.console.job_queries import NAMES, JobQuery
from gaugepost_ops.web.console.people import person_of
from gaugepost_ops.web.console.rendering import page
from gaugepost_ops.web.console.routes import Console, console_of
from gaugepost_ops.web.new_operation import NewOperation
from gaugepost_ops.web.problems import Refused

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from gaugepost.client import Producer
    from gaugepost_ops.cli.jobs.groups import Fault, Group
    from gaugepost_ops.web.actors import Actor
    from gaugepost_ops.web.console.people import PersonAtConsole

_OF_OPERATIONS = frozenset(NAMES) - {"id", "number", "file"}
LOOKED_AT = 250
"""How many jobs a page looks at, at most."""
_EMPTY = "nothing was changed: choose a region, and a state or a reference such as a batch; an empty filter is refused"


class Preview(NamedTuple):
    """What an action would change, as far as the page looked. `total`: all jobs of the state; None: not known."""

    groups: list[tuple[Fault, Group]]
    matched: int
    looked_at: int
    is_whole: bool
    total: int | None


def add_routes(console: Console) -> None:
    """Add the routes of this module."""
    console.get("/jobs/bulk", show, role=Role.OPERATOR)
    console.post("/jobs/bulk", start, role=Role.OPERATOR, action="operations start")


async def show(request: Request) -> Response:
    """Show what an action would change."""
    person, given = person_of(request), request.query_params
    query, wanted = _asked(person, JobQuery.of(given), given.get("action", ""), "", None)
    preview = await asyncio.to_thread(_preview, console_of(request).gateway.store.blocking, person, query, wanted)
    number = preview.total if preview.total is not None else preview.matched if preview.is_whole else None
    return page(
        request,
        "bulk.html",
        query=query,
        action=wanted.action,
        words=WORDS[wanted.action],
        title=bulk_title(wanted.action, number),
        has_jobs=number != 0,
        preview=preview,
    )


def _asked(
    person: PersonAtConsole, query: JobQuery, action: str, reason: str, to: str | None
) -> tuple[JobQuery, NewOperation]:
    """Return the operation for a query. Raises Refused (422) for an empty or wrong filter."""
    wrong = {name for name, _ in query.given} - _OF_OPERATIONS
    try:
        region = query.served_region(person.all_regions)
    except InvalidQuery as error:
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, f"nothing was changed: {error}") from None
    if region is None or query.value is not None or wrong:
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, _EMPTY)
    given: dict[str, Any] = {name: value for name, value in query.given if name not in {"region", "field"}}
    body = {"action": action, "region": region, "filter": given | {"fields": query.fields}, "reason": reason}
    if action == Action.SETTLE:
        body["set"] = {"as": to or "dead"}
    try:
        return query, NewOperation.model_validate(body)
    except ValidationError as error:
        text = "; ".join(str(one["msg"]).removeprefix("Value error, ") for one in error.errors())
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, f"nothing was changed: {text}") from None


def _preview(producer: Producer, person: PersonAtConsole, query: JobQuery, wanted: NewOperation) -> Preview:
    """Group the jobs that a page can look at. Raises InvalidQuery."""
    found = replace(query.wanted(person), most=LOOKED_AT).page(producer, LOOKED_AT, None)
    groups = Groups()
    for view in found:
        groups.add(view)
    state = query.state()
    only_state = {name for name, _ in query.given} <= {"state", "region"}
    total = producer.ledger(wanted.region).summary()[state] if state and only_state else None
    return Preview(groups.largest_first(), len(found), found.looked_at, found.next is None, total)


async def start(request: Request) -> Response:
    """Start the operation."""
    form, person = await form_of(request), person_of(request)
    reason = reason_in(form)
    try:
        _, wanted = _asked(person, JobQuery.of(form), field(form, "action"), reason, field(form, "as"))
        if wanted.action is Action.SETTLE and field(form, "as") not in {JobState.DELIVERED, JobState.DEAD}:
            raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "nothing was changed: say whether they were delivered")
        producer = console_of(request).gateway.store.blocking
        started = await asyncio.to_thread(_start, producer, person, wanted)
    except (Failure, InvalidQuery) as error:
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, f"nothing was changed: {error}") from None
    return see_other(f"/operations/{started}")


def _start(producer: Producer, person: Actor, wanted: NewOperation) -> str:
    """Start an operation as `POST /v1/operations` does. Return its id."""
    ledger, options, operation_id = producer.ledger(wanted.region), wanted.filter.options(), new_operation_id()
    job_filter = options.of_region(wanted.filter.state, producer, wanted.region)
    target = f"{options.name(wanted.filter.state)} operation={operation_id}".strip()
    with recorded(ledger, person, str(wanted.action), target, wanted.reason) as record:
        ledger.operations.start(
            wanted.action,
            job_filter,
            by=person.name,
            reason=wanted.reason,
            to=wanted.to(),
            operation_id=operation_id,
        )
        record.is_done = True
    return operation_id
