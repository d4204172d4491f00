"""The upload statistics of v4.1: whether an uploaded file arrived, and what became of its rows.

Source: GET statistics, `../shared/api/customergauge.md` section 2.7. Ids and counts come as text; `Processed` is
the only state a source shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from gaugepost_tasks.dialects import document, whole_number
from gaugepost_tasks.messages import Answer, Endpoints, Request, common_headers
from gaugepost_tasks.redact import Redactor, plain

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date

MAX_ROWS = 1000
"""The most the endpoint gives at once."""

_MAX_MESSAGES = 2000  # as many as a file has records


@dataclass(frozen=True, slots=True)
class Upload:
    """One upload as the statistics tell it. Counts are None where they were not told; `messages` are redacted."""

    id: int | None
    status: str
    source_filename: str
    date_upload: str
    total: int | None
    successful: int | None
    unsuccessful: int | None
    messages: tuple[str, ...] = ()

    @property
    def processed(self) -> bool:
        """Whether CustomerGauge is done with it."""
        return self.status.casefold() == "processed"

    def result(self) -> dict[str, Any]:
        """Return it as the `result` of a file job: total, successful, unsuccessful, messages."""
        counts = {"total": self.total, "successful": self.successful, "unsuccessful": self.unsuccessful}
        return counts | {"messages": self.messages}


def build(
    endpoints: Endpoints, family: str, job_id: str, *, since: date, until: date, start: int = 0, limit: int = MAX_ROWS
) -> Request:
    """Ask for a family's uploads of some days, both included; `limit` is 1000 at most.

    The receiver's days are of a time zone that no source states: take a day more on either side.
    """
    days = {"date_range_from": since.isoformat(), "date_range_to": until.isoformat()}
    query = urlencode(days | {"start": start, "limit": min(limit, MAX_ROWS)})
    return Request("GET", f"{endpoints.file(family)}?{query}", common_headers(job_id), b"", "api_key")


def read(answer: Answer) -> tuple[Upload, ...] | None:
    """Return the uploads in the order told; None when the answer is not a list of them: it says nothing then."""
    if answer.failure or not answer.ok or answer.truncated:
        return None
    said = document(answer.body)
    rows = said.get("Data") if isinstance(said, dict) else None
    if not isinstance(rows, list):
        return None
    return tuple(_upload(row) for row in rows if isinstance(row, dict))


def find(uploads: Iterable[Upload], upload_name: str) -> Upload | None:
    """Return the upload of this name, the one with the greatest id should there be several."""
    named = (upload for upload in uploads if upload.source_filename == upload_name)
    return max(named, key=lambda upload: upload.id or 0, default=None)


def _upload(row: dict[str, Any]) -> Upload:
    logs = row.get("logs")
    texts = [text for text in logs if isinstance(text, str)] if isinstance(logs, list) else []
    clean = Redactor().clean
    return Upload(
        id=whole_number(row.get("id")),
        status=_text(row.get("status")),
        source_filename=_text(row.get("source_filename")),
        date_upload=_text(row.get("date_upload")),
        total=whole_number(row.get("total_records")),
        successful=whole_number(row.get("successful_records")),
        unsuccessful=whole_number(row.get("unsuccessful_records")),
        messages=tuple(clean(text) for text in texts[:_MAX_MESSAGES]),
    )


def _text(value: object) -> str:
    return plain(value) if isinstance(value, str) else ""
