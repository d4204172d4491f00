"""`GET /v1/status` and `GET /v1/uploads`: the rows of `gaugepost status --json` and `gaugepost uploads --json`."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from pydantic_core import to_json
from starlette.responses import Response

from gaugepost.errors import StoreUnreachable
from gaugepost.ledger.api_keys import Scope
from gaugepost.ledger.batch_views import BatchView, merged
from gaugepost.regions import Region
from gaugepost_ops.cli.uploads.lanes import read_lane
from gaugepost_ops.web.problems import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from gaugepost.client import Producer
    from gaugepost_ops.web.actors import Actor
    from gaugepost_ops.web.gateway import Gateway

    Rows = Callable[[Producer, Region], list[dict[str, Any]]]

_NEWEST = 100


def add_routes(api: FastAPI) -> None:
    """Add the routes of this module."""
    api.add_api_route("/v1/status", status, methods=["GET"])
    api.add_api_route("/v1/batches", batches, methods=["GET"])
    api.add_api_route("/v1/batches/{name}", batch, methods=["GET"])
    api.add_api_route("/v1/uploads", uploads, methods=["GET"])


async def status(request: Request, region: Region | None = None) -> Response:
    """Show each region: jobs by state, why they wait, holds, workers, the oldest job."""
    return await _answer(request, region, "regions", lambda producer, one: [producer.ledger(one).summary()])


async def uploads(request: Request, region: Region | None = None) -> Response:
    """Show each upload lane: its last start, its next slot, and each file with its forecast start."""
    return await _answer(request, region, "lanes", _lanes)


async def batch(request: Request, name: str) -> Response:
    """Show a batch: its jobs by state and verdict, warnings, rate, forecast, and its canary."""
    gateway: Gateway = request.app.state.gateway
    caller = await gateway.caller(request.scope, Scope.READ)
    views: dict[str, BatchView] = {}

    def read(producer: Producer, region: Region) -> list[dict[str, Any]]:
        [view] = producer.ledger(region).batches.read([name])
        views.update({} if view is None else {str(region): view})
        return []

    found = await asyncio.to_thread(of_regions, gateway.store.blocking, caller, None, "batches", read)
    away = found.pop("not_asked", None)
    if not views:
        if away:
            raise StoreUnreachable(f"{', '.join(away)} could not be asked: Redis cannot be reached")
        raise Refused(HTTPStatus.NOT_FOUND, f"no batch of this name in {', '.join(caller.regions)}")
    row = merged(views).to_dict() | ({"not_asked": away} if away else {})
    return Response(to_json(row), media_type="application/json")


async def batches(request: Request, region: Region | None = None) -> Response:
    """List the batches, the last changed first: at most 100 of each region."""
    gateway: Gateway = request.app.state.gateway
    caller = await gateway.caller(request.scope, Scope.READ)
    views, away = await asyncio.to_thread(newest_batches, gateway.store.blocking, caller, region)
    more = {"not_asked": away} if away else {}
    return Response(to_json({"batches": [view.to_dict() for view in views]} | more), media_type="application/json")


def newest_batches(producer: Producer, caller: Actor, region: Region | None) -> tuple[list[BatchView], list[str]]:
    """Return the batches, the last changed first, and the regions that are away. Raises StoreUnreachable."""
    found: dict[str, dict[str, BatchView]] = {}

    def read(producer: Producer, one: Region) -> list[dict[str, Any]]:
        calls = producer.ledger(one).batches
        for view in filter(None, calls.read(calls.newest(_NEWEST))):
            found.setdefault(view.name, {})[str(one)] = view
        return []

    away = of_regions(producer, caller, region, "batches", read).get("not_asked", [])
    return sorted(map(merged, found.values()), key=lambda view: -view.active)[:_NEWEST], away


async def _answer(request: Request, region: Region | None, name: str, rows: Rows) -> Response:
    gateway: Gateway = request.app.state.gateway
    caller = await gateway.caller(request.scope, Scope.READ)
    found = await asyncio.to_thread(of_regions, gateway.store.blocking, caller, region, name, rows)
    return Response(to_json(found), media_type="application/json")


def of_regions(producer: Producer, caller: Actor, region: Region | None, name: str, rows: Rows) -> dict[str, Any]:
    """Return the rows of a region or of all under `name`, and the regions that are away under `not_asked`.

    Raises StoreUnreachable if no region answers.
    """
    regions, found = caller.regions_of(region), list[dict[str, Any]]()
    away = [str(one) for one in caller.unasked_of(region)]
    for turn, one in enumerate(regions, 1):
        try:
            found += rows(producer, one)
        except StoreUnreachable:
            away.append(str(one))
            if turn == len(regions) and not set(regions) - set(away):
                raise
    return {name: found} | ({"not_asked": away} if away else {})


def _lanes(producer: Producer, region: Region) -> list[dict[str, Any]]:
    ledger = producer.ledger(region)
    return [read_lane(ledger, name).to_dict() for name in ledger.upload_lanes()]
