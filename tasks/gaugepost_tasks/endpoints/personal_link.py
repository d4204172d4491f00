"""`personal_link`: PUT Personal Link. Source: `docs/customergauge.md`, "PUT Personal Link"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaugepost_tasks.answers.answer_formats import parse_json, read_laravel_refusal, whole_number
from gaugepost_tasks.answers.parsed_answer import Accepted, Malformed, ParsedAnswer
from gaugepost_tasks.answers.redaction import plain
from gaugepost_tasks.endpoints.record import mapped_request, sent_fields

if TYPE_CHECKING:
    from gaugepost.jobs import PersonalLink
    from gaugepost_tasks.http_messages import Answer, Endpoints, Request

__all__ = ["build", "read", "sent_fields"]


def build(job: PersonalLink, endpoints: Endpoints, job_id: str, content: bytes | None = None) -> Request:  # noqa: ARG001 - one shape for all kinds
    """Build `{"configuration", "record": {heading: value}}`."""
    return mapped_request(job, endpoints.personal_link, job_id)


def read(job: PersonalLink, answer: Answer) -> ParsedAnswer:  # noqa: ARG001 - one shape for all kinds
    """Read both links. A 2xx without two http or https links is malformed.

    The result has `survey_link`, `survey_link_short` and, if the answer has one, `number_customergauge` (int).
    """
    document = parse_json(answer.body)
    if not answer.ok:
        return read_laravel_refusal(document)
    data = document.get("data") if isinstance(document, dict) else None
    links = _links(data) if isinstance(data, dict) else {}
    if not isinstance(data, dict) or not all(links.values()) or not links:
        return Malformed()
    number = whole_number(data.get("number_customergauge"))
    return Accepted(({} if number is None else {"number_customergauge": number}) | links)


def _links(data: dict[str, object]) -> dict[str, str]:
    return {name: _link(data.get(name)) for name in ("survey_link", "survey_link_short")}


def _link(value: object) -> str:
    """Return an http or https link, else "". A `javascript:` link would run as code in a browser."""
    text = plain(value) if isinstance(value, str) else ""
    return text if text.lower().startswith(("https://", "http://")) else ""
