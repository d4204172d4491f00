"""`response`: v4.1 Transactions POST Response. Source: `docs/customergauge.md`, "POST Response"."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from gaugepost.jobs.response import NAMED_FIELDS
from gaugepost_tasks.answers.answer_formats import read_v41
from gaugepost_tasks.http_messages import Answer, Endpoints, Request, common_headers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gaugepost.jobs import Response
    from gaugepost_tasks.answers.parsed_answer import ParsedAnswer


def build(job: Response, endpoints: Endpoints, job_id: str, content: bytes | None = None) -> Request:  # noqa: ARG001 - one shape for all kinds
    """Build a form: first the account's own fields, then the survey's. A list is joined by commas, a bool is Y or N."""
    body = urlencode(list(sent_fields(job).items()), safe=",").encode("ascii")
    headers = common_headers(job_id, "application/x-www-form-urlencoded")
    return Request("POST", endpoints.response, headers, body, "api_key")


def read(job: Response, answer: Answer) -> ParsedAnswer:  # noqa: ARG001 - one shape for all kinds
    """Read v4.1's envelope."""
    return read_v41(answer.body, ok=answer.ok)


def sent_fields(job: Response) -> Mapping[str, str]:
    """Return CustomerGauge's name → text of the sent fields."""
    named = {theirs: getattr(job, ours) for theirs, ours in NAMED_FIELDS.items()}
    given = {name: value for name, value in named.items() if value is not None and value != ()}
    return {name: _spell(value) for name, value in (job.fields | given).items()}


def _spell(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "Y" if value else "N"
        case tuple():
            return ",".join(map(str, value))
        case _:
            return str(value)
