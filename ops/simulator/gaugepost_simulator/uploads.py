"""Uploaded files: intervals, processing, statistics, deletion.

Nothing runs in the background. The state of an upload is computed from the clock when a caller asks for it.
"""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from gaugepost_simulator.effects import Effect
from gaugepost_simulator.knobs import Knobs
from gaugepost_simulator.row_counter import Rows

# Documented limits of a file. No refusal is documented, so the simulator only counts files beyond them.
MAX_BYTES = 2_000_000
MAX_ROWS = 2_000


@dataclass(slots=True)
class Upload:
    """One accepted file. Times are Unix time in seconds. ``failed``: row number from 1 → reason."""

    id: int
    region: str
    family: str
    filename: str
    sha256: str
    uploaded_at: float
    begins_at: float
    total: int
    failed: dict[int, str] = field(default_factory=dict)
    unreadable: str = ""
    effect: Effect | None = None

    @property
    def date_upload(self) -> str:
        """Return the time of the upload in the format of the statistics, in UTC."""
        return datetime.fromtimestamp(self.uploaded_at, UTC).strftime("%Y-%m-%d %H:%M:%S")

    def statistics(self, knobs: Knobs) -> dict[str, object]:
        """Return the row of this upload in the statistics. Ids and counts are texts, as documented."""
        status = self._status(knobs)
        done = status == "Processed"
        return {
            "id": str(self.id),
            "status": status,
            "source_filename": self.filename,
            "date_upload": self.date_upload,
            "total_records": str(self.total),
            "successful_records": str(self.total - len(self.failed) if done else 0),
            "unsuccessful_records": str(len(self.failed) if done else 0),
            "logs": self._logs(knobs.record_number_base) if done else [self.unreadable] if status == "Failed" else [],
        }

    def _status(self, knobs: Knobs) -> str:
        age, states = time.time() - self.begins_at, knobs.processing_states
        if age < 0 and states:
            return states[0]
        if age < knobs.processing_seconds and states:
            return states[int(age / knobs.processing_seconds * len(states))]
        return "Failed" if self.unreadable else "Processed"

    def _logs(self, base: int) -> list[str]:
        return [f"Record {row - 1 + base}: {reason}" for row, reason in sorted(self.failed.items())]


class Uploads:
    """All uploads of all regions."""

    def __init__(self) -> None:
        self.limits_broken: Counter[str] = Counter()
        self._of_region: dict[str, dict[int, Upload]] = {}
        self._last_id: Counter[str] = Counter()
        self._last_start: dict[str, float] = {}

    def too_soon(self, region: str, family: str, at: float, knobs: Knobs) -> bool:
        """Return whether an upload at time ``at`` breaks the interval. Count it if so."""
        last = self._last_start.get(_lane(region, family, knobs))
        broken = last is not None and at < last + knobs.upload_interval
        self.limits_broken[f"{region}.interval"] += broken
        return broken

    def already_processed(self, region: str, filename: str, sha256: str, knobs: Knobs) -> bool:
        """Return whether an upload counts as already processed, compared with all families of its region."""
        return any(
            _is_same(knobs, name=filename == upload.filename, content=sha256 == upload.sha256)
            for upload in self._of_region.get(region, {}).values()
        )

    def add(self, upload: Upload, size: int, knobs: Knobs) -> Upload:
        """Add an upload of ``size`` bytes. Set its id and, in the queueing mode, when its processing begins."""
        lane = _lane(upload.region, upload.family, knobs)
        if knobs.upload_interval_mode == "queue" and lane in self._last_start:
            upload.begins_at = max(upload.begins_at, self._last_start[lane] + knobs.upload_interval)
        self._last_start[lane] = upload.begins_at
        self._last_id[upload.region] += 1
        upload.id = self._last_id[upload.region]
        self._of_region.setdefault(upload.region, {})[upload.id] = upload
        self.limits_broken[f"{upload.region}.bytes"] += size > MAX_BYTES
        self.limits_broken[f"{upload.region}.rows"] += upload.total > MAX_ROWS
        return upload

    def listed(self, region: str, family: str, knobs: Knobs) -> Iterator[Upload]:
        """Yield the uploads that the statistics already show, oldest first."""
        shown_before = time.time() - knobs.statistics_delay
        for upload in self._of_region.get(region, {}).values():
            if upload.family == family and upload.uploaded_at <= shown_before:
                yield upload

    def remove(self, region: str, upload_id: int) -> Upload | None:
        """Remove an upload with its records and return it; None if it does not exist."""
        upload = self._of_region.get(region, {}).pop(upload_id, None)
        if upload is not None and upload.effect is not None:
            upload.effect.gone = True
        return upload

    def live_records(self, region: str) -> int:
        """Return the number of records from files that are not deleted."""
        return sum(upload.total - len(upload.failed) for upload in self._of_region.get(region, {}).values())


def rejected_rows(rows: Rows, knobs: Knobs) -> dict[int, str]:
    """Return row number (from 1) → reason of the rejected data rows."""
    if not rows.split:
        # CustomerGauge accepts a file with a wrong delimiter, and every record of it fails.
        return dict.fromkeys(range(1, len(rows) + 1), "Email is required but seems to be empty")
    failed = {row: "Duplicate Record" for row in knobs.reject_rows if 1 <= row <= len(rows)}
    if knobs.reject_bad_emails:
        bad = (row for row, email in enumerate(rows.emails, 1) if email and "@" not in email)
        failed |= dict.fromkeys(bad, "The Email must be a valid email address")
    return failed


def _lane(region: str, family: str, knobs: Knobs) -> str:
    return region if knobs.upload_interval_scope == "region" else f"{region}.{family}"


def _is_same(knobs: Knobs, *, name: bool, content: bool) -> bool:
    rules = {"name": name, "content": content, "both": name and content, "either": name or content, "off": False}
    return rules[knobs.already_processed_by]
