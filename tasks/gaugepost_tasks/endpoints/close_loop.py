"""`close_loop`: PUT Close the Loop. Source: `docs/customergauge.md`, "PUT Close the Loop"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaugepost_tasks.answers.answer_formats import is_yes, parse_json, read_laravel_refusal
from gaugepost_tasks.answers.parsed_answer import Accepted, Malformed, ParsedAnswer
from gaugepost_tasks.endpoints.record import json_request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gaugepost.jobs import CloseLoop
    from gaugepost_tasks.http_messages import Answer, Endpoints, Request

_FIELDS = ("number_customergauge", "status", "note", "assignee", "happened_at")
_PARTS = ("status", "note", "assignee")


def build(job: CloseLoop, endpoints: Endpoints, job_id: str, content: bytes | None = None) -> Request:  # noqa: ARG001 - one shape for all kinds
    """Build the change as JSON, without the fields that the job does not set."""
    return json_request("PUT", endpoints.close_loop, job_id, sent_fields(job))


def read(job: CloseLoop, answer: Answer) -> ParsedAnswer:
    """Read the answer, which has a boolean for each of status, note and assignee.

    A part that was sent and is false was refused. A part that the answer does not name counts as accepted.
    """
    document = parse_json(answer.body)
    if not answer.ok:
        return read_laravel_refusal(document)
    data = document.get("data") if isinstance(document, dict) else None
    if not isinstance(data, dict) or "status" not in data:
        return Malformed()
    parts = {name: is_yes(data[name]) for name in _PARTS if name in data}
    sent = sent_fields(job)
    return Accepted(parts, tuple(name for name, taken in parts.items() if name in sent and not taken))


def sent_fields(job: CloseLoop) -> Mapping[str, object]:
    """Return name → value of the sent fields."""
    return {name: value for name in _FIELDS if (value := getattr(job, name)) is not None}
