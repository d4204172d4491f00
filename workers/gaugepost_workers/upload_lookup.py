"""Finds a sent file in CustomerGauge's upload statistics: by its upload id if that is known, else by its name."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

from gaugepost.transitions import Phase
from gaugepost_tasks.endpoints.upload_statistics import (
    MAX_ANSWER_BYTES,
    Found,
    build,
    build_by_id,
    find_in_answer,
    search_days,
    search_pages,
)
from gaugepost_tasks.http_messages import Answer, Endpoints, Request, credential_header
from gaugepost_workers.lease import lease_clock

if TYPE_CHECKING:
    from gaugepost.jobs import File
    from gaugepost.ledger import Claimed
    from gaugepost_tasks.http import HttpClient
    from gaugepost_workers.lease import Lease


def find_upload(http: HttpClient, endpoints: Endpoints, api_key: str, lease: Lease, job: File) -> Found:
    """Find a sent file in the upload statistics. Raises LeaseOver if a request may not begin under this lease."""

    def ask(request: Request) -> Answer:
        header = credential_header(request.auth, api_key)
        return http.exchange(request, header, lambda: lease.check(lease_clock()), max_answer_bytes=MAX_ANSWER_BYTES)

    where = endpoints, job.family, lease.claimed.id
    known = _known_upload(lease.claimed)
    if known is not None and (seen := find_in_answer(ask(build_by_id(*where, known)), job.upload_name)).complete:
        return seen
    since, until = search_days(*_sendings(lease.claimed))
    return search_pages(
        lambda start, rows: ask(build(*where, since=since, until=until, start=start, limit=rows)), job.upload_name
    )


def last_sending(claimed: Claimed) -> int | None:
    """Return when the job was last sent (Unix time in ms), None if never."""
    return max((attempt.at for attempt in claimed.history.attempts()), default=None)


def _sendings(claimed: Claimed) -> tuple[datetime, datetime]:
    """Return when the job was first and last sent. A file "already processed" arrived with an earlier attempt."""
    times = [datetime.fromtimestamp(attempt.at / 1000, UTC) for attempt in claimed.history.attempts()]
    times = times or [datetime.now(UTC)]
    return min(times), max(times)


def count_checks(claimed: Claimed) -> int:
    """Count the checks since the job was last sent. While the file is not found yet, count only answered ones."""
    looks = 0
    for entry in claimed.history.entries:
        if entry["event"] == "attempt":
            looks = 0
        elif entry["event"] == "check":
            answered = entry["status"] == HTTPStatus.OK and entry.get("readable", True)
            looks += claimed.phase is not Phase.LOOKUP or answered
    return looks


def _known_upload(claimed: Claimed) -> int | None:
    """Return the upload id that a check found since the job was last sent."""
    for entry in reversed(claimed.history.entries):
        if entry["event"] == "attempt":
            break
        if entry["event"] == "check" and entry.get("upload_id") is not None:
            return int(entry["upload_id"])
    return None
