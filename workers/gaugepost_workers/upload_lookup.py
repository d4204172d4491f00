"""Finds a sent file in CustomerGauge's upload statistics: by its upload id if that is known, else by its name."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

from gaugepost.ledger import Settlement
from gaugepost.transitions import Check, Phase
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
from gaugepost_tasks.upload_tracking import Look, RowRange, decide_on_upload, is_answered
from gaugepost_workers.clock import SYSTEM_CLOCK

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gaugepost.jobs import File
    from gaugepost.ledger import Claimed
    from gaugepost_tasks.http import HttpClient
    from gaugepost_workers.clock import Clock
    from gaugepost_workers.lease import Lease


class UploadLookup:
    """Looks the sent files of a region up. Thread-safe.

    `poll`: waits between two looks, in seconds. `record_number_base`: see `RowRange.base`.
    """

    def __init__(
        self,
        http: HttpClient,
        endpoints: Endpoints,
        api_key: str | None,
        poll: Sequence[float],
        *,
        record_number_base: int,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._http = http
        self._endpoints = endpoints
        self._api_key = api_key or ""
        self._poll = poll
        self._base = record_number_base
        self._clock = clock

    def look_up(self, lease: Lease, job: File) -> Settlement:
        """Look a sent file up: whether it arrived and was processed. Decide what follows. Raises LeaseOver."""
        claimed, at = lease.claimed, int(self._clock.wall() * 1000)
        seen = self.find(lease, job)
        sent_s_ago = self._clock.wall() - (_last_sending(claimed) or at) / 1000
        rand = random.random()  # noqa: S311 - jitter
        found, stored = seen.upload, job.stored
        look = Look(claimed.phase, seen.complete, found, _count_checks(claimed), sent_s_ago, rand, self._poll)
        rows = RowRange(stored.first_row, stored.rows, self._base) if stored else RowRange(1, 0)
        processed = found is not None and found.processed
        answered = is_answered(seen.status)
        check = Check(at, seen.status, found is not None, processed, seen.upload_id, seen.complete, answered)
        return Settlement(claimed, decide_on_upload(look, rows), check=check)

    def find(self, lease: Lease, job: File) -> Found:
        """Find a sent file in the upload statistics. Raises LeaseOver if a request may not begin under this lease."""

        def ask(request: Request) -> Answer:
            return self._ask(lease, request)

        where = self._endpoints, job.family, lease.claimed.id
        known = _known_upload(lease.claimed)
        if known is not None and (seen := find_in_answer(ask(build_by_id(*where, known)), job.upload_name)).complete:
            return seen
        since, until = search_days(*self._sendings(lease.claimed))
        return search_pages(
            lambda start, rows: ask(build(*where, since=since, until=until, start=start, limit=rows)), job.upload_name
        )

    def _ask(self, lease: Lease, request: Request) -> Answer:
        header = credential_header(request.auth, self._api_key)
        return self._http.exchange(
            request, header, lambda: lease.check(self._clock.lease()), max_answer_bytes=MAX_ANSWER_BYTES
        )

    def _sendings(self, claimed: Claimed) -> tuple[datetime, datetime]:
        """Return when the job was first and last sent. A file "already processed" arrived with an earlier attempt."""
        times = [attempt.at / 1000 for attempt in claimed.history.attempts()] or [self._clock.wall()]
        return datetime.fromtimestamp(min(times), UTC), datetime.fromtimestamp(max(times), UTC)


def _last_sending(claimed: Claimed) -> int | None:
    """Return when the job was last sent (Unix time in ms), None if never."""
    return max((attempt.at for attempt in claimed.history.attempts()), default=None)


def _count_checks(claimed: Claimed) -> int:
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
