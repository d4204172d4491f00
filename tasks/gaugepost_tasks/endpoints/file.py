"""`file`: v4.1 POST File. Source: File APIs, `docs/customergauge.md`, "Files".

This module writes the multipart body, not requests, so that the same job always gives the same bytes.
"""

from __future__ import annotations

import hashlib
import itertools
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from gaugepost_tasks.answers.answer_formats import read_v41
from gaugepost_tasks.http_messages import EMPTY_MAPPING, Answer, Endpoints, Request, common_headers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gaugepost.jobs import File
    from gaugepost_tasks.answers.parsed_answer import ParsedAnswer

_TYPES = {
    ".csv": "text/csv",
    ".xls": "application/vnd.ms-excel",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".xml": "application/xml",
}


def build(job: File, endpoints: Endpoints, job_id: str, content: bytes | None = None) -> Request:
    """Build the upload: multipart/form-data with one field `file`, named by the job's unique upload name.

    Raises ValueError without `content`.
    """
    if content is None:
        raise ValueError("a file needs its content")
    name = job.upload_name
    boundary = boundary_for(content, hashlib.sha256(content).hexdigest())
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
        f"Content-Type: {_TYPES[PurePosixPath(name).suffix]}\r\n\r\n"
    )
    body = head.encode() + content + f"\r\n--{boundary}--\r\n".encode()
    headers = common_headers(job_id, f"multipart/form-data; boundary={boundary}")
    return Request("POST", endpoints.file(job.family), headers, body, "api_key")


def read(job: File, answer: Answer) -> ParsedAnswer:  # noqa: ARG001 - one shape for all kinds
    """Read v4.1's envelope. It says nothing about the rows: the upload statistics do."""
    return read_v41(answer.body, ok=answer.ok)


def sent_fields(job: File) -> Mapping[str, object]:  # noqa: ARG001 - one shape for all kinds
    """Return no fields: a file has rows, and the answer to an upload names none of them."""
    return EMPTY_MAPPING


def boundary_for(content: bytes, digest: str) -> str:
    """Return a boundary that is derived from the digest and does not occur in the content."""
    names = (f"gaugepost{hashlib.sha256(f'{digest}:{n}'.encode()).hexdigest()[:40]}" for n in itertools.count())
    return next(name for name in names if name.encode() not in content)
