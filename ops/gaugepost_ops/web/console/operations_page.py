"""`/operations`: bulk actions with their progress, who started them and why."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from gaugepost.ledger.users import Role
from gaugepost_ops.web.console.bulk_actions import WORDS
from gaugepost_ops.web.console.people import person_of, region_in, version_of
from gaugepost_ops.web.console.rendering import page
from gaugepost_ops.web.console.routes import Console, Nav, console_of
from gaugepost_ops.web.overview import of_regions

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from gaugepost.client import Producer
    from gaugepost.ledger.operations import Operation
    from gaugepost.regions import Region

SHOWN = 50


def add_routes(console: Console) -> None:
    """Add the routes of this module."""
    console.get("/operations", show, role=Role.VIEWER, nav=Nav("Operations", "p"))


async def show(request: Request) -> Response:
    """List the newest operations of the regions, the newest first."""
    region, person = region_in(request), person_of(request)
    producer = console_of(request).gateway.store.blocking
    found = await asyncio.to_thread(of_regions, producer, person, region, "operations", _newest)
    every = sorted(found["operations"], key=_place, reverse=True)
    after = request.query_params.get("after", "")
    later = [one for one in every if not after or _place(one) < after]
    return page(
        request,
        "operations.html",
        live=True,
        etag=version_of(every, found.get("not_asked")),
        operations=later[:SHOWN],
        total=len(every),
        after=after,
        next=_place(later[SHOWN - 1]) if len(later) > SHOWN else "",
        away=found.get("not_asked", []),
        region=region,
        regions=person.all_regions,
        conditions=_conditions,
        words=WORDS,
    )


def _newest(producer: Producer, region: Region) -> list[Any]:
    return [*producer.ledger(region).operations.list()]


def _place(one: Operation) -> str:
    return f"{one.started_at:015}~{one.id}"


def _conditions(one: Operation) -> str:
    """Return the filter of an operation as a text: `state dead, kind record`. It has no personal data."""
    shown = one.to_dict()["filter"]
    texts = (f"{name} {', '.join(value) if isinstance(value, list) else value}" for name, value in shown.items())
    return "; ".join(texts)
