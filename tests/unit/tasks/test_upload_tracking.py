"""A sent file is followed until CustomerGauge has processed it, and sent again only after three looks."""

from __future__ import annotations

import pytest

from gaugepost.transitions import Delivered, Parked, Phase, Resend, Transition, Unknown
from gaugepost_tasks.endpoints.upload_statistics import Upload
from gaugepost_tasks.upload_tracking import (
    GIVE_UP_S,
    NEVER_FOUND_OUT,
    NEVER_PROCESSED,
    Look,
    RowRange,
    decide_on_upload,
    is_answered,
)

POLL = (60.0, 120.0, 300.0, 600.0)
ROWS = RowRange(first=2001, count=2000)


def upload(status: str = "Processed", messages: tuple[str, ...] = ()) -> Upload:
    return Upload(12, status, "march.0123456789.csv", "2026-01-01 00:00:00", 100, 98, 2, messages)


def after(
    phase: Phase, found: Upload | None = None, *, readable: bool = True, looks: int = 0, hours: float = 0
) -> Transition:
    decision = decide_on_upload(Look(phase, readable, found, looks, hours * 3600, 0.5, POLL), ROWS)
    assert decision.counted is False
    return decision.transition


@pytest.mark.parametrize("phase", [Phase.LOOKUP, Phase.PROCESSING])
def test_processed_file_is_delivered_with_counts_and_row_numbers(phase: Phase) -> None:
    done = after(phase, upload(messages=("Record 2: Duplicate Record", "Record 18: Email is required", "a word")))
    assert done == Delivered(
        {
            "total": 100,
            "successful": 98,
            "unsuccessful": 2,
            "messages": ["Record 2001: Duplicate Record", "Record 2017: Email is required", "a word"],
            "rejected": [2001, 2017],
            "upload_id": 12,
        }
    )


def test_waits_between_looks_grow() -> None:
    waits = [after(Phase.PROCESSING, upload("Queued"), looks=looks) for looks in range(5)]
    seconds = [120, 300, 600, 600, 600]
    assert waits == [Parked(1000 * wait, "processing", Phase.PROCESSING) for wait in seconds]


def test_file_with_lost_answer_that_is_listed_is_followed() -> None:
    assert after(Phase.LOOKUP, upload("Queued")) == Parked(120_000, "processing", Phase.PROCESSING)


def test_unlisted_file_is_sent_again_only_after_three_looks() -> None:
    assert after(Phase.LOOKUP, looks=0) == Parked(120_000, "lost_answer", Phase.LOOKUP)
    assert after(Phase.LOOKUP, looks=1) == Parked(300_000, "lost_answer", Phase.LOOKUP)
    assert after(Phase.LOOKUP, looks=2) == Resend()


def test_unreadable_statistics_prove_nothing() -> None:
    assert after(Phase.LOOKUP, readable=False, looks=9) == Parked(600_000, "lost_answer", Phase.LOOKUP)
    assert after(Phase.PROCESSING, readable=False) == Parked(120_000, "processing", Phase.PROCESSING)


def test_accepted_file_missing_from_statistics_is_not_sent_again() -> None:
    assert after(Phase.PROCESSING, looks=9) == Parked(600_000, "processing", Phase.PROCESSING)


def test_unprocessed_file_is_delivered_with_warning_after_a_day() -> None:
    assert after(Phase.PROCESSING, upload("Queued"), hours=GIVE_UP_S / 3600) == Delivered({}, (NEVER_PROCESSED,))


def test_lookup_ends_as_unknown_after_a_day_without_statistics() -> None:
    day = GIVE_UP_S / 3600
    assert after(Phase.LOOKUP, readable=False, looks=99, hours=day) == Unknown(NEVER_FOUND_OUT)
    assert isinstance(after(Phase.LOOKUP, hours=day), Parked)
    assert after(Phase.LOOKUP, looks=2, hours=day) == Resend()
    assert after(Phase.LOOKUP, upload("Queued"), hours=day) == Parked(120_000, "processing", Phase.PROCESSING)


@pytest.mark.parametrize(
    ("status", "answered"), [(200, True), (404, True), (None, False), (500, False), (401, False), (429, False)]
)
def test_only_an_answer_of_a_working_endpoint_lifts_its_hold(status: int | None, answered: bool) -> None:
    assert is_answered(status) is answered
