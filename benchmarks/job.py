"""The job that every target does: constants shared by `queues/`, the producers and the stub."""

from __future__ import annotations

import json
import os
from typing import Any

REDIS_URL = os.environ.get("BENCH_REDIS_URL", "")
STUB_URL = os.environ.get("BENCH_STUB_URL", "")
CLIENT = os.environ.get("BENCH_CLIENT", "")
RECORDS = "/records/"
HEADERS = {"Authorization": f"Bearer {'0123456789abcdef' * 2}", "Content-Type": "application/json"}
"""A token as long as the stub's own. gaugepost fetches one; the other targets send this one."""
BODY_BYTES = 500
STATUS_TTL_S = 3600
PIPELINE = 1_000
MARK = b'"Item":"'
"""Precedes the job's number, nine digits, in each body."""

_FIELDS = {"Account Name": "ACME Industrial Holdings", "NPS Score": "9", "Survey Date": "2026-11-21 19:00:00"}


def payload(number: int) -> dict[str, Any]:
    """Return the record that job `number` PUTs."""
    return _payload(number, _PADDING)


def body(record: dict[str, Any]) -> bytes:
    """Return a payload as bytes of JSON."""
    return json.dumps(record, separators=(",", ":")).encode()


def status(number: int) -> dict[str, int]:
    """Return the status that a target stores of a sent job."""
    return {"status": 200, "id": number}


def _payload(number: int, padding: str) -> dict[str, Any]:
    record = {"Item": f"{number:09d}", "Email": f"p{number:09d}@example.net", **_FIELDS, "Comment": padding}
    return {"configuration": "5350a3c7-6f1d-4a52-9a25-3c1f3f3f0b11", "record": record}


_PADDING = "x" * (BODY_BYTES - len(body(_payload(0, ""))))
