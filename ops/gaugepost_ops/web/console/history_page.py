"""`/history`: the charts of each region for an hour or a day, each with its numbers as a table."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gaugepost.errors import StoreError
from gaugepost.ledger.users import Role
from gaugepost_ops.web.console.charts import charts_of, day_of, hour_of, seconds
from gaugepost_ops.web.console.people import person_of
from gaugepost_ops.web.console.rendering import page
from gaugepost_ops.web.console.routes import Console, Nav, console_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from gaugepost.client import Producer
    from gaugepost.ledger import RegionHistory
    from gaugepost.regions import Region


def add_routes(console: Console) -> None:
    """Add the route of this module."""
    console.get("/history", show, role=Role.VIEWER, nav=Nav("History", "y"))


async def show(request: Request) -> Response:
    """Show what each region did in the last hour; with `range=day` in the last day."""
    store = console_of(request).gateway.store
    is_day = request.query_params.get("range") == "day"
    person, regions = person_of(request), store.settings.regions
    reads = (asyncio.to_thread(_read, store.blocking, region) for region in person.regions)
    known = dict(zip(person.regions, await asyncio.gather(*reads), strict=True))
    found = [known.get(region) for region in regions]
    span_of = day_of if is_day else hour_of
    spans = [None if one is None else span_of(one) for one in found]
    rows = [(region, span, span and charts_of(span)) for region, span in zip(regions, spans, strict=True)]
    etag = repr(spans)
    return page(request, "history.html", live=True, etag=etag, rows=rows, is_day=is_day, seconds=seconds)


def _read(producer: Producer, region: Region) -> RegionHistory | None:
    try:
        return producer.ledger(region).history()
    except StoreError:
        return None
