"""`deliver_at` of a job: which times it takes, and where it is stored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gaugepost.jobs.field_types import MAX_AHEAD
from support.factories import record


def refused(**fields: Any) -> str:
    with pytest.raises(ValueError, match="deliver_at") as error:
        record(**fields)
    return str(error.value)


def test_deliver_at_is_refused_beyond_a_year() -> None:
    assert "at most 366 days" in refused(deliver_at=datetime.now(UTC) + MAX_AHEAD + timedelta(minutes=1))


def test_deliver_at_must_be_before_expires_at() -> None:
    soon = datetime.now(UTC) + timedelta(hours=1)
    assert "before expires_at" in refused(deliver_at=soon, expires_at=soon)


def test_deliver_at_without_offset_is_refused() -> None:
    assert refused(deliver_at="2026-12-01T09:00:00")


def test_stored_json_has_no_deliver_at() -> None:
    assert "deliver_at" not in record(deliver_at=datetime.now(UTC)).to_json()
