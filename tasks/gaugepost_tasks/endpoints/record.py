"""`record`: PUT Records. Source: `docs/customergauge.md`, "PUT Records"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic_core import to_json

from gaugepost_tasks.answers.answer_formats import UNREADABLE, parse_json, read_laravel_refusal
from gaugepost_tasks.answers.parsed_answer import Accepted, Malformed, ParsedAnswer, Refusal
from gaugepost_tasks.answers.redaction import Redactor
from gaugepost_tasks.http_messages import Answer, Endpoints, Request, common_headers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gaugepost.jobs import PersonalLink, Record


_MOST_NAMES = 10
_LONGEST_NAME = 60


def build(job: Record, endpoints: Endpoints, job_id: str, content: bytes | None = None) -> Request:  # noqa: ARG001 - one shape for all kinds
    """Build `{"configuration", "record": {heading: value}}`."""
    return mapped_request(job, endpoints.records, job_id)


def read(job: Record, answer: Answer) -> ParsedAnswer:
    """Read the answer. A success has an empty body; JSON gives a warning, and JSON with field errors is a refusal."""
    empty = not answer.body.strip()
    document = None if empty else parse_json(answer.body)
    if document is UNREADABLE:
        return Malformed()
    refusal = read_laravel_refusal(document)
    if answer.ok and not (isinstance(refusal, Refusal) and refusal.field_errors):
        return Accepted(warnings=() if empty else (_unexpected(document, sent_fields(job)),))
    return refusal


def _unexpected(document: object, sent: Mapping[str, object]) -> str:
    """Return the warning on an unexpected body. It names the fields of the body, without any sent value."""
    clean = Redactor(sent.values()).clean
    names = [clean(name)[:_LONGEST_NAME] for name in list(document)[:_MOST_NAMES]] if isinstance(document, dict) else []
    return "CustomerGauge answered with a body; its documentation has none" + (f": {', '.join(names)}" if names else "")


def sent_fields(job: Record | PersonalLink) -> Mapping[str, object]:
    """Return name → value of the sent fields."""
    return {"configuration": job.configuration, "record": True, **job.record}


def mapped_request(job: Record | PersonalLink, url: str, job_id: str) -> Request:
    """Build a request through an inbound mapping, for PUT Records and PUT Personal Link."""
    return json_request("PUT", url, job_id, {"configuration": job.configuration, "record": job.record})


def json_request(method: str, url: str, job_id: str, data: object) -> Request:
    """Build a JSON request that needs a Bearer token."""
    return Request(method, url, common_headers(job_id, "application/json"), to_json(data), "bearer")
