"""`/batches` and `/batches/{name}`: jobs enqueued under one name, their canary, and what helps if it stops."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote

from pydantic import ValidationError

from gaugepost.errors import StoreUnreachable
from gaugepost.ledger.batch_views import BatchView, merged
from gaugepost.ledger.operations import Action
from gaugepost.ledger.users import Role
from gaugepost_ops.cli.common import Failure
from gaugepost_ops.web.console.inputs import field, form_of, see_other
from gaugepost_ops.web.console.people import person_of, region_in, version_of
from gaugepost_ops.web.console.rendering import page
from gaugepost_ops.web.console.routes import Console, Nav, console_of
from gaugepost_ops.web.holds import lift
from gaugepost_ops.web.new_operation import NewOperation, OperationFilter
from gaugepost_ops.web.operations import start_new
from gaugepost_ops.web.overview import newest_batches, of_regions
from gaugepost_ops.web.problems import Refused, wrong_fields

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from starlette.datastructures import FormData
    from starlette.requests import Request
    from starlette.responses import Response

    from gaugepost.client import Producer
    from gaugepost.ledger import Hold
    from gaugepost.regions import Region

SHOWN = 50


def add_routes(console: Console) -> None:
    """Add the routes of this module."""
    console.get("/batches", show, role=Role.VIEWER, nav=Nav("Batches", "b"))
    console.get("/batches/{name}", show_one, role=Role.VIEWER)
    console.post("/batches/{name}/resume", resume, role=Role.OPERATOR, action="resume")
    console.post("/batches/{name}/cancel", cancel, role=Role.OPERATOR, action="cancel")


async def show(request: Request) -> Response:
    """List the batches, the last changed first."""
    region, person = region_in(request), person_of(request)
    producer = console_of(request).gateway.store.blocking
    views, away = await asyncio.to_thread(newest_batches, producer, person, region)
    after = request.query_params.get("after", "")
    later = [one for one in views if not after or _place(one) < after]
    holds = await console_of(request).snapshots.holds()
    held = {one.name: _held(one, holds) for one in later[:SHOWN]}
    return page(
        request,
        "batches.html",
        live=True,
        etag=version_of([one.to_dict() for one in views], away, held),
        batches=later[:SHOWN],
        held=held,
        total=len(views),
        after=after,
        next=_place(later[SHOWN - 1]) if len(later) > SHOWN else "",
        away=away,
        region=region,
        regions=person.all_regions,
    )


def _place(one: BatchView) -> str:
    return f"{one.active:015}~{one.name}"


def _held(batch: BatchView, holds: Mapping[str, Mapping[str, Hold]]) -> list[str]:
    """Return the regions in which a hold of the whole region, or a person's hold of the batch, stops its jobs.

    The hold of a canary is left out: the state of the canary already says that the rest waits.
    """
    of_batch = f"batch:{batch.name}"
    found = {name: holds.get(name, {}) for name, one in batch.regions.items() if one.left}
    return [
        name for name, all_ in found.items() if "" in all_ or (of_batch in all_ and all_[of_batch].label != "canary")
    ]


async def show_one(request: Request) -> Response:
    """Show a batch in each of its regions."""
    name, person = request.path_params["name"], person_of(request)
    producer = console_of(request).gateway.store.blocking

    def read(producer: Producer, region: Region) -> list[Any]:
        [view] = producer.ledger(region).batches.read([name])
        return [] if view is None else [(str(region), view)]

    found = await asyncio.to_thread(of_regions, producer, person, None, "batches", read)
    away = found.get("not_asked", [])
    if not found["batches"]:
        if away:
            raise StoreUnreachable(f"{', '.join(away)} could not be asked: Redis cannot be reached")
        raise Refused(HTTPStatus.NOT_FOUND, "there is no such batch: a batch ends with the last of its jobs")
    view = merged(dict(found["batches"]))
    held = _held(view, await console_of(request).snapshots.holds())
    version = version_of(view.to_dict(), away, held)
    return page(request, "batch.html", live=True, etag=version, batch=view, away=away, held=held)


async def resume(request: Request) -> Response:
    """Send the rest of a batch that its canary has stopped."""
    name, form = request.path_params["name"], await form_of(request)
    region = _region(request, form)
    producer = console_of(request).gateway.store.blocking
    if not await asyncio.to_thread(lift, producer, person_of(request), region, f"batch:{name}"):
        raise Refused(HTTPStatus.CONFLICT, f"nothing was changed: no hold stops this batch in {region}")
    return see_other(f"/batches/{quote(name)}")


async def cancel(request: Request) -> Response:
    """Start an operation that cancels the jobs of a batch that were not sent."""
    name, form = request.path_params["name"], await form_of(request)
    region, reason = _region(request, form), field(form, "reason").strip()
    if not reason:
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, "nothing was cancelled: say why, in the field Reason")
    producer = console_of(request).gateway.store.blocking
    try:
        jobs = OperationFilter(batch=name)
        wanted = NewOperation(action=Action.CANCEL, region=region, filter=jobs, reason=reason)
        await asyncio.to_thread(start_new, producer, person_of(request), wanted)
    except ValidationError as error:
        raise wrong_fields(error) from None
    except Failure as error:
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from None
    return see_other(f"/operations?region={region}")


def _region(request: Request, form: FormData) -> Region:
    region = region_in(request, field(form, "region"))
    if region is None:
        raise Refused(HTTPStatus.BAD_REQUEST, "region: expected one")
    return region
