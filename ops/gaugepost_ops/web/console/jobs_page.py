"""`/jobs`: search and list jobs, 50 on a page, with links to older and newer ones. It shows no personal data."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING

from gaugepost.errors import InvalidQuery
from gaugepost.jobs import JOBS
from gaugepost.ledger.finding import Found
from gaugepost.ledger.users import Role
from gaugepost.states import JobState
from gaugepost.verdict import Verdict
from gaugepost_ops.web.console.bulk_actions import actions_on, without_region
from gaugepost_ops.web.console.job_queries import LOOKED_AT, NAMES, JobQuery
from gaugepost_ops.web.console.people import person_of
from gaugepost_ops.web.console.rendering import page
from gaugepost_ops.web.console.routes import Console, Nav, console_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

ROWS = 50
_MOST_BACK = 40
_BACK = "!"


def add_routes(console: Console) -> None:
    """Add the route of this module."""
    console.get("/jobs", show, role=Role.VIEWER, nav=Nav("Jobs", "j"))


async def show(request: Request) -> Response:
    """List the jobs that meet the conditions of the URL."""
    console, person, error, found = console_of(request), person_of(request), "", Found()
    query, typed = JobQuery(()), request.query_params.get("q", "")
    choices = {"state": list(JobState), "region": person.all_regions, "kind": list(JOBS), "verdict": list(Verdict)}
    try:
        query = JobQuery.of(request.query_params)
        wanted = query.wanted(person)
        cursor = request.query_params.get("cursor") or None
        found = await asyncio.to_thread(wanted.page, console.gateway.store.blocking, ROWS, cursor)
    except InvalidQuery as wrong:
        error, typed = str(wrong), query.typed(choices) or typed
    away = dict.fromkeys((*person.away, *found.not_asked)) if not error and query.region() is None else {}
    return page(
        request,
        "jobs.html",
        status=HTTPStatus.UNPROCESSABLE_ENTITY if error else HTTPStatus.OK,
        query=query,
        typed=typed,
        found=found,
        away=away,
        asked=[region for region in person.all_regions if region not in away],
        error=error,
        links={} if error else _links(request, query, found),
        actions=[] if error else actions_on(query),
        choices=choices,
        without_region="" if error else without_region(query),
        looked_at=LOOKED_AT,
        names=NAMES,
    )


def _links(request: Request, query: JobQuery, found: Found) -> dict[str, str]:
    """Return the links to older and newer jobs. The URL has the cursors of the pages before, as `back`."""
    cursor = request.query_params.get("cursor", "")
    back = [one for one in request.query_params.get("back", "").split(_BACK) if one][-_MOST_BACK:]
    links = {}
    if found.next:
        links["older"] = query.url(cursor=found.next, back=_BACK.join([*back, cursor or "0"]))
    if cursor:
        before = back[-1] if back else "0"
        links["newer"] = query.url(cursor="" if before == "0" else before, back=_BACK.join(back[:-1]))
    return links
