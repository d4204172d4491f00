"""Webhooks over HTTP: list, add and remove endpoints."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import FastAPI, Request
from pydantic import BaseModel, Field
from pydantic_core import to_json
from starlette.responses import Response

from gaugepost.errors import StoreUnreachable
from gaugepost.jobs.field_types import FLAG
from gaugepost.ledger.api_keys import Scope
from gaugepost.ledger.webhook_records import new_secret
from gaugepost.regions import Region
from gaugepost_ops.cli.operations.webhook_rows import TooManyEndpoints, merged, new_endpoint, new_row, store
from gaugepost_ops.web.auditing import recorded
from gaugepost_ops.web.json_bodies import read_model
from gaugepost_ops.web.overview import of_regions
from gaugepost_ops.web.problems import Refused

if TYPE_CHECKING:
    from gaugepost.client import Producer
    from gaugepost.ledger import Ledger
    from gaugepost.ledger.webhook_records import Endpoint
    from gaugepost_ops.web.callers import Caller
    from gaugepost_ops.web.gateway import Gateway


def add_routes(api: FastAPI) -> None:
    """Add the routes of this module."""
    api.add_api_route("/v1/webhooks", list_webhooks, methods=["GET"])
    api.add_api_route("/v1/webhooks", add_webhook, methods=["POST"])
    api.add_api_route("/v1/webhooks/{webhook_id}", remove_webhook, methods=["DELETE"])


class NewWebhook(BaseModel, extra="forbid"):
    """The body of `POST /v1/webhooks`. Without events: all; without regions: all of the key."""

    url: Annotated[str, Field(min_length=1, max_length=2_000)]
    events: Annotated[list[str], Field(max_length=50)] = []
    regions: Annotated[list[Region], Field(max_length=3)] = []
    source: Annotated[str | None, Field(min_length=1, max_length=200)] = None
    with_result: Annotated[bool, FLAG] = False


async def list_webhooks(request: Request, region: Region | None = None) -> Response:
    """List the endpoints of the key's regions, never their secrets."""
    gateway: Gateway = request.app.state.gateway
    caller = await gateway.caller(request.scope, Scope.OPERATE)
    copies: list[tuple[Ledger, Endpoint]] = []

    def read(producer: Producer, one: Region) -> list[dict[str, Any]]:
        ledger = producer.ledger(one)
        copies.extend((ledger, endpoint) for endpoint in ledger.webhooks.read())
        return []

    found = await asyncio.to_thread(of_regions, gateway.store.blocking, caller, region, "webhooks", read)
    return Response(to_json(found | {"webhooks": merged(copies)}), media_type="application/json")


async def add_webhook(request: Request) -> Response:
    """Add an endpoint. Only this answer has its secret."""
    gateway: Gateway = request.app.state.gateway
    caller = await gateway.caller(request.scope, Scope.OPERATE)
    wanted, caller = await read_model(request, caller, NewWebhook)
    for region in wanted.regions:
        caller.key_for(region)
    row = await asyncio.to_thread(_add, gateway.store.blocking, caller, wanted)
    return Response(to_json(row), HTTPStatus.CREATED, media_type="application/json")


def _add(producer: Producer, caller: Caller, wanted: NewWebhook) -> dict[str, Any]:
    regions = wanted.regions or [*caller.regions, *caller.away]
    how: dict[str, Any] = {"events": wanted.events, "source": wanted.source, "with_result": wanted.with_result}
    try:
        endpoint = new_endpoint(producer.settings, wanted.url, regions=regions, by=caller.name, **how)
    except ValueError as error:
        field, _, message = str(error).partition(": ")
        name = "events" if field == "event" else field
        errors = [{"field": name, "message": message}]
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, f"{name}: {message}", errors=errors) from None
    secret, refusal = new_secret(), ""
    with recorded(producer.ledger(Region(endpoint.regions[0])), caller, "webhooks add", endpoint.id) as record:
        try:
            store(producer, endpoint, secret, lambda _: None)
            record.count = 1
        except TooManyEndpoints as error:
            refusal = str(error)
    if refusal:
        raise Refused(HTTPStatus.CONFLICT, refusal)
    return new_row(endpoint, secret)


async def remove_webhook(request: Request, webhook_id: str) -> Response:
    """Remove an endpoint from the key's regions, with the events that wait for it."""
    gateway: Gateway = request.app.state.gateway
    caller = await gateway.caller(request.scope, Scope.OPERATE)
    if caller.away:
        raise StoreUnreachable(f"{', '.join(caller.away)} could not be asked: Redis cannot be reached")
    found = [
        await asyncio.to_thread(_remove, gateway.store.blocking, caller, region, webhook_id)
        for region in caller.regions
    ]
    if not any(found):
        raise Refused(HTTPStatus.NOT_FOUND, "no such webhook: GET /v1/webhooks lists all")
    return Response(status_code=HTTPStatus.NO_CONTENT)


def _remove(producer: Producer, caller: Caller, region: Region, webhook_id: str) -> bool:
    ledger = producer.ledger(region)
    if ledger.webhooks.get(webhook_id) is None:
        return False
    with recorded(ledger, caller, "webhooks remove", webhook_id) as record:
        record.count = int(ledger.webhooks.drop(webhook_id))
    return bool(record.count)
