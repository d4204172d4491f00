"""Make the job of a call. A field that is empty counts as absent, as at CustomerGauge."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from gaugepost.errors import InvalidJob, Problem
from gaugepost.jobs import parse_job
from gaugepost.jobs.response import NAMED_FIELDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gaugepost.jobs import AnyJob
    from gaugepost_ops.web.front.routes import Route

FIELDS = {
    "record": ("configuration", "record"),
    "personal_link": ("configuration", "record"),
    "close_loop": ("number_customergauge", "status", "note", "happened_at", "assignee"),
}
_ABSENT: tuple[object, ...] = (None, "", [])
_MOST_REASONS = 1_000
"""Further ones stay in one text, which is then refused: a million of them would stop the gateway for seconds."""
_FLAGS = {"Y": True, "N": False}


def job_of_object(route: Route, found: Mapping[str, Any]) -> AnyJob:
    """Return the job of a call of v7 or imports. Unknown fields are ignored, as at CustomerGauge. Raises InvalidJob."""
    fields = {name: found[name] for name in FIELDS[route.call] if found.get(name) not in _ABSENT}
    return parse_job({"kind": route.call, "region": route.region, **fields})


def job_of_form(route: Route, fields: Mapping[str, str]) -> AnyJob:
    """Return the job of a survey response. Raises InvalidJob."""
    named: dict[str, Any] = {ours: fields[theirs] for theirs, ours in NAMED_FIELDS.items() if fields.get(theirs)}
    if (flag := named.get("follow_up_required")) is not None:
        if flag not in _FLAGS:
            raise InvalidJob([Problem("follow_up_required", "expected Y or N")])
        named["follow_up_required"] = _FLAGS[flag]
    if (reasons := named.get("reason_codes")) is not None:
        named["reason_codes"] = reasons.split(",", _MOST_REASONS)
    own = {name: value for name, value in fields.items() if name not in NAMED_FIELDS}
    return parse_job({"kind": "response", "region": route.region, "fields": own, **named})


def job_of_file(route: Route, name: str, content: bytes) -> AnyJob:
    """Return the job of an upload. Raises InvalidJob."""
    encoded = base64.b64encode(content).decode()
    file = {"family": route.family, "filename": name, "content_base64": encoded}
    return parse_job({"kind": "file", "region": route.region, **file})
