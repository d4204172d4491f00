"""Read v4.1's upload statistics: whether a file arrived, and what became of its rows.

Source: `docs/customergauge.md`, "Statistics of files". Ids and counts are text. `Processed` is the only documented
state.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from gaugepost_tasks.answers.answer_formats import parse_document, whole_number
from gaugepost_tasks.answers.redaction import Redactor, plain
from gaugepost_tasks.http_messages import Answer, Endpoints, Request, common_headers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import date, datetime

MAX_ROWS = 1000
"""The endpoint's limit for one page."""

PAGE_ROWS = 100
MAX_ANSWER_BYTES = 8_000_000
"""The largest answer to read: 2,000 rejected records of one upload, 4 kB each."""

_MOST_PAGES = 50
_MAX_MESSAGES = 2000  # as many as a file has records


@dataclass(frozen=True, slots=True)
class Upload:
    """One upload in the statistics. A count is None if the answer has none. `messages` are redacted."""

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
        """Return whether CustomerGauge has processed the file."""
        return self.status.casefold() == "processed"

    def result(self) -> dict[str, Any]:
        """Return the `result` of a file job: total, successful, unsuccessful, messages."""
        counts = {"total": self.total, "successful": self.successful, "unsuccessful": self.unsuccessful}
        return counts | {"messages": self.messages}


@dataclass(frozen=True, slots=True)
class Found:
    """The outcome of one look.

    `complete`: the statistics were read far enough; if not, a missing upload proves nothing. `status`: of the last
    answer.
    """

    upload: Upload | None
    complete: bool
    status: int | None

    @property
    def upload_id(self) -> int | None:
        """Return CustomerGauge's id of the upload, None if it was not found."""
        return self.upload.id if self.upload else None


def build(
    endpoints: Endpoints, family: str, job_id: str, *, since: date, until: date, start: int = 0, limit: int = MAX_ROWS
) -> Request:
    """Build the request for a family's uploads from day `since` to day `until`, both included.

    `start`: first row. `limit`: rows, at most 1000. No source states the time zone of these days: `search_days` returns
    a range that holds for every time zone.
    """
    days = {"date_range_from": since.isoformat(), "date_range_to": until.isoformat()}
    query = urlencode(days | {"start": start, "limit": min(limit, MAX_ROWS)})
    return Request("GET", f"{endpoints.file(family)}?{query}", common_headers(job_id), b"", "api_key")


def build_by_id(endpoints: Endpoints, family: str, job_id: str, upload_id: int) -> Request:
    """Build the request for one upload by its id."""
    url = f"{endpoints.file(family)}?{urlencode({'id': upload_id})}"
    return Request("GET", url, common_headers(job_id), b"", "api_key")


def search_days(first: datetime, last: datetime) -> tuple[date, date]:
    """Return the first and last day, in any time zone, of uploads that began between these two times (UTC)."""
    return (first - timedelta(hours=12)).date(), (last + timedelta(hours=15)).date()


def search_pages(fetch_page: Callable[[int, int], Answer], upload_name: str) -> Found:
    """Search for an upload page by page. `fetch_page(first_row, rows)` returns an answer.

    An answer lists the rejected rows of each upload, so it may be larger than `MAX_ANSWER_BYTES`. Then request a
    smaller page. Skip a single upload that is too large, unless it is the one to find.
    """
    start, rows, status = 0, PAGE_ROWS, None
    for _ in range(_MOST_PAGES):
        answer = fetch_page(start, rows)
        status = answer.status
        too_large = answer.ok and answer.truncated
        if too_large and rows > 1:
            rows = max(1, rows // 4)
            continue
        if too_large and upload_name.encode() not in answer.body:
            start, rows = start + 1, PAGE_ROWS
            continue
        listed = read(answer)
        if listed is None:
            break
        found = find(listed, upload_name)
        start += len(listed)
        if found is not None or len(listed) < rows:
            return Found(found, complete=True, status=status)
    return Found(None, complete=False, status=status)


def find_in_answer(answer: Answer, upload_name: str) -> Found:
    """Find the upload in the answer to a request by id. It is not complete if the upload has another name."""
    found = find(read(answer) or (), upload_name)
    return Found(found, complete=found is not None, status=answer.status)


def read(answer: Answer) -> tuple[Upload, ...] | None:
    """Return the uploads in the order of the answer; None if the answer is not a list of them."""
    if answer.failure or not answer.ok or answer.truncated:
        return None
    document = parse_document(answer.body)
    rows = document.get("Data") if isinstance(document, dict) else None
    if not isinstance(rows, list):
        return None
    return tuple(_upload(row if isinstance(row, dict) else {}) for row in rows)


def find(uploads: Iterable[Upload], upload_name: str) -> Upload | None:
    """Return the upload of this name, the one with the greatest id if there are several."""
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
