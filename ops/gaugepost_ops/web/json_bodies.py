"""Bodies that a model describes: read, parse and check one, and ask again whether its sender may still call."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from gaugepost.jobs.field_types import is_utf8
from gaugepost.jobs.refusal import NOT_UTF8
from gaugepost_ops.web.bodies import read_body
from gaugepost_ops.web.json_jobs import strict_json
from gaugepost_ops.web.large_bodies import BODIES
from gaugepost_ops.web.problems import Refused, wrong_fields

if TYPE_CHECKING:
    from fastapi import Request

    from gaugepost_ops.web.callers import Caller
    from gaugepost_ops.web.gateway import Gateway

B = TypeVar("B", bound=BaseModel)

SHORT = 10_000
"""Bytes of a body that has a few fields."""


async def read_model(
    request: Request, caller: Caller, model: type[B], most: int = SHORT, *, may_be_empty: bool = False
) -> tuple[B, Caller]:
    """Read a body of at most `most` bytes. Return it with its caller, whose key may have ended meanwhile.

    Raises Refused: 400, 401, 408, 413, 422.
    """
    gateway: Gateway = request.app.state.gateway
    body = await read_body(request.scope, request.receive, most)
    caller = await gateway.callers.again(caller)
    if may_be_empty and not body.strip():
        body = b"{}"
    return await BODIES.parse(body, lambda: _checked(model, body)), caller


def _checked(model: type[B], body: bytes) -> B:
    found = strict_json(body)
    try:
        place = _not_utf8(found)
    except RecursionError:
        raise Refused(
            HTTPStatus.BAD_REQUEST, "the body is not JSON that can be read: it is nested too deeply"
        ) from None
    if place is not None:
        errors = [{"field": place, "message": NOT_UTF8}]
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, f"{place}: {NOT_UTF8}".removeprefix(": "), errors=errors)
    try:
        return model.model_validate(found)
    except ValidationError as error:
        raise wrong_fields(error) from None


def _not_utf8(found: object, place: str = "") -> str | None:
    """Return the first field with a lone surrogate, in its name or its value; the name itself cannot be shown."""
    match found:
        case str():
            return None if is_utf8(found) else place
        case list():
            parts = [(place, value) for value in found]
        case dict():
            if not all(map(is_utf8, found)):
                return place
            parts = [(f"{place}.{name}".removeprefix("."), value) for name, value in found.items()]
        case _:
            return None
    return next((wrong for name, value in parts if (wrong := _not_utf8(value, name)) is not None), None)
