"""`/audit`: who changed what, when and why, and how it ended. Filters and place are in the URL."""

from __future__ import annotations

import asyncio
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from gaugepost.errors import InvalidQuery
from gaugepost.ledger.users import Role
from gaugepost_ops.cli.operations.audit import AuditFilter
from gaugepost_ops.web.audit_list import Asked
from gaugepost_ops.web.console.people import person_of, region_in
from gaugepost_ops.web.console.rendering import page
from gaugepost_ops.web.console.routes import Console, Nav, console_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

SHOWN = 50
LOOKED_AT = 3_000
"""How many entries a page looks at, at most: a filter that few entries meet must not make it slow."""
_MOST_NEWER = 20
_ONE = re.compile(r"(set-)?[0-9a-f]{32}")
_FIELDS = ("actor", "action", "job", "since", "until", "region")


def add_routes(console: Console) -> None:
    """Add the route of this module."""
    console.get("/audit", show, role=Role.OPERATOR, nav=Nav("Audit", "a"))


async def show(request: Request) -> Response:
    """List the entries that match, the newest first. `newer`: the cursors of the pages before this one."""
    given = {name: request.query_params.get(name, "").strip()[:300] for name in _FIELDS}
    region = region_in(request)
    cursor = request.query_params.get("cursor", "")
    newer = [one for one in request.query_params.get("newer", "").split(",") if one][-_MOST_NEWER:]
    wanted = AuditFilter(given["actor"] or None, given["action"] or None, given["job"] or None)
    asked = Asked(wanted, region, given["since"] or None, given["until"] or None, SHOWN, cursor or None, LOOKED_AT)
    producer, person = console_of(request).gateway.store.blocking, person_of(request)
    found: dict[str, Any] = {"entries": [], "next": None}
    error = ""
    try:
        found = await asyncio.to_thread(asked.page, producer, person)
    except InvalidQuery as wrong:
        error = str(wrong)
    filters = {name: value for name, value in given.items() if value}
    return page(
        request,
        "audit.html",
        status=HTTPStatus.BAD_REQUEST if error else HTTPStatus.OK,
        error=error,
        entries=found["entries"],
        given=given,
        regions=person.all_regions,
        filters=filters,
        cursor=cursor,
        newer=_link(filters, newer[-1] if newer else "", newer[:-1]),
        older=_link(filters, found["next"], [*newer, cursor] if cursor else newer) if found["next"] else None,
        away=found.get("not_asked", []),
        looked_at=LOOKED_AT,
        path_of=_path_of,
    )


def _path_of(target: str) -> str:
    """Return the page of the one job or upload that an entry names; "" without one."""
    found = _ONE.fullmatch(target)
    return f"/{'uploads' if found[1] else 'jobs'}/{target}" if found else ""


def _link(filters: dict[str, str], cursor: str, newer: list[str]) -> dict[str, str]:
    """Return the query of another page with the same filters."""
    place = {"cursor": cursor, "newer": ",".join(newer[-_MOST_NEWER:])}
    return filters | {name: value for name, value in place.items() if value}
