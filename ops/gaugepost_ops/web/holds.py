"""Holds over HTTP: list, open and lift them."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from fastapi import FastAPI, Request
from pydantic import BaseModel, Field, model_validator
from pydantic_core import to_json
from starlette.responses import Response

from gaugepost.durations import moment
from gaugepost.ledger.api_keys import Scope
from gaugepost.regions import Region
from gaugepost_ops.cli.aliases import reference
from gaugepost_ops.cli.operations.holds import hold_rows
from gaugepost_ops.web.auditing import recorded
from gaugepost_ops.web.json_bodies import read_model
from gaugepost_ops.web.overview import of_regions
from gaugepost_ops.web.problems import Refused

if TYPE_CHECKING:
    from gaugepost.client import Producer
    from gaugepost_ops.web.actors import Actor
    from gaugepost_ops.web.gateway import Gateway


def add_routes(api: FastAPI) -> None:
    """Add the routes of this module."""
    api.add_api_route("/v1/holds", list_holds, methods=["GET"])
    api.add_api_route("/v1/holds", open_hold, methods=["POST"])
    api.add_api_route("/v1/holds/{hold_id:path}", lift_hold, methods=["DELETE"])


class NewHold(BaseModel, extra="forbid"):
    """The body of `POST /v1/holds`. Without configuration, credentials and endpoints it holds the whole region."""

    region: Region
    reason: Annotated[str, Field(min_length=1, max_length=500, pattern=r"\S")]
    configuration: Annotated[str | None, Field(min_length=1, max_length=200)] = None
    credentials: Literal["oauth", "api_key"] | None = None
    endpoints: Literal["imports", "close_loop", "responses", "uploads"] | None = None
    until: Annotated[str | None, Field(description="A time with its offset, or a duration: 30m, 2h.")] = None

    @model_validator(mode="after")
    def _one_scope(self) -> Self:
        if sum(one is not None for one in (self.configuration, self.credentials, self.endpoints)) > 1:
            raise ValueError("expected one of configuration, credentials and endpoints")
        if self.until is not None:
            moment(self.until)
        return self

    def scope(self, producer: Producer) -> str:
        """Return the scope of the hold. Raises InvalidJob for an alias of another region."""
        if self.configuration is not None:
            return f"configuration:{reference(producer, self.configuration, self.region)}"
        found = {"credentials": self.credentials, "endpoints": self.endpoints}
        return next((f"{sort}:{name}" for sort, name in found.items() if name), "")

    def ends(self) -> dict[str, int]:
        """Return its end: a time, or a duration from now."""
        found = None if self.until is None else moment(self.until)
        if found is None:
            return {}
        if isinstance(found, timedelta):
            return {"lasts_ms": int(found.total_seconds() * 1000)}
        return {"until_ms": int(found.timestamp() * 1000)}


async def list_holds(request: Request, region: Region | None = None) -> Response:
    """List all holds of the key's regions."""
    gateway: Gateway = request.app.state.gateway
    caller = await gateway.caller(request.scope, Scope.READ)
    found = await asyncio.to_thread(of_regions, gateway.store.blocking, caller, region, "holds", _holds_of)
    return Response(to_json(found), media_type="application/json")


def _holds_of(producer: Producer, region: Region) -> list[dict[str, Any]]:
    """Return the rows of `holds --json` with an `id`: the region, and the scope behind a colon."""
    ledger = producer.ledger(region)
    return [{"id": f"{region}:{scope}".rstrip(":"), **row} for scope, row in hold_rows(ledger, producer)]


async def open_hold(request: Request) -> Response:
    """Stop sending to a region, a configuration, or the kinds that need some credentials or endpoints."""
    gateway: Gateway = request.app.state.gateway
    caller = await gateway.caller(request.scope, Scope.OPERATE)
    wanted, caller = await read_model(request, caller, NewHold)
    caller.key_for(wanted.region)
    row = await asyncio.to_thread(open_new, gateway.store.blocking, caller, wanted)
    return Response(to_json(row), HTTPStatus.CREATED, media_type="application/json")


def open_new(producer: Producer, caller: Actor, wanted: NewHold) -> dict[str, Any]:
    """Open a hold, and return its row. Raises Refused (422) for an end in the past."""
    ledger, scope = producer.ledger(wanted.region), wanted.scope(producer)
    with recorded(ledger, caller, "hold", scope, wanted.reason) as record:
        if ledger.hold(scope, wanted.reason, caller.name, **wanted.ends()):
            record.count = 1
    if not record.count:
        message = "expected a time in the future"
        errors = [{"field": "until", "message": message}]
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, f"until: {message}", errors=errors)
    hold_id = f"{wanted.region}:{scope}".rstrip(":")
    found = next((row for row in _holds_of(producer, wanted.region) if row["id"] == hold_id), None)
    return found or {"id": hold_id}


async def lift_hold(request: Request, hold_id: str) -> Response:
    """Lift a hold, of a person or of gaugepost itself."""
    gateway: Gateway = request.app.state.gateway
    caller = await gateway.caller(request.scope, Scope.OPERATE)
    name, _, scope = hold_id.partition(":")
    if name not in set(Region):
        raise Refused(HTTPStatus.NOT_FOUND, "no such hold: GET /v1/holds lists all")
    caller.key_for(Region(name))
    if not await asyncio.to_thread(lift, gateway.store.blocking, caller, Region(name), scope):
        raise Refused(HTTPStatus.NOT_FOUND, "no such hold: GET /v1/holds lists all")
    return Response(status_code=HTTPStatus.NO_CONTENT)


def lift(producer: Producer, caller: Actor, region: Region, scope: str, reason: str = "") -> bool:
    """Lift a hold. Return whether there was one. `reason`: for the audit trail."""
    ledger = producer.ledger(region)
    with recorded(ledger, caller, "resume", scope, reason) as record:
        record.count = int(ledger.resume(scope, caller.name))
    return bool(record.count)
