"""`file_delete`: v4.1 DELETE File. Source: `docs/customergauge.md`, "Files"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaugepost_tasks.answers.answer_formats import read_v41
from gaugepost_tasks.http_messages import Answer, Endpoints, Request, common_headers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gaugepost.jobs import FileDelete
    from gaugepost_tasks.answers.parsed_answer import ParsedAnswer


def build(job: FileDelete, endpoints: Endpoints, job_id: str, content: bytes | None = None) -> Request:  # noqa: ARG001 - one shape for all kinds
    """Build the DELETE, with the id in the query and no body."""
    return Request("DELETE", endpoints.file_delete(job.upload_id), common_headers(job_id), b"", "api_key")


def read(job: FileDelete, answer: Answer) -> ParsedAnswer:  # noqa: ARG001 - one shape for all kinds
    """Read v4.1's envelope."""
    return read_v41(answer.body, ok=answer.ok)


def sent_fields(job: FileDelete) -> Mapping[str, object]:
    """Return name → value of the sent fields."""
    return {"id": job.upload_id}
