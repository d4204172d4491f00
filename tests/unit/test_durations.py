from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaugepost.durations import moment, schedule, seconds, spell


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90", 90),
        (90, 90),
        (1.5, 1.5),
        ("30s", 30),
        ("5m", 300),
        ("12h", 43_200),
        ("7d", 604_800),
        (" 1.5 h ", 5400),
        ("0", 0),
    ],
)
def test_a_duration_is_read_as_people_write_it(text: str | float, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "m", "5 minutes", "-5", "1e3", "5m30s", "5M", "nan", "inf"])
def test_invalid_duration_is_refused_with_the_expected_form(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration such as 90, 30s, 5m, 12h or 7d"):
        seconds(text)


def test_a_schedule_is_its_waits_one_after_another() -> None:
    assert schedule("5m, 30m,2h,12h") == (300, 1800, 7200, 43_200)
    with pytest.raises(ValueError, match="expected a duration"):
        schedule("5m,,2h")


@pytest.mark.parametrize(
    ("duration", "text"), [(300, "5m"), (86_400, "1d"), (90, "90s"), (0, "0s"), (5400, "90m"), (0.5, "0.5s")]
)
def test_a_duration_is_spelt_in_the_largest_unit_that_keeps_it_whole(duration: float, text: str) -> None:
    assert spell(duration) == text


@given(st.integers(0, 10_000_000))
def test_written_duration_parses_to_the_same_value(duration: int) -> None:
    assert seconds(spell(float(duration))) == pytest.approx(duration, rel=1e-5)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90", timedelta(seconds=90)),
        ("5m", timedelta(minutes=5)),
        ("1970-01-01T00:10+00:00", datetime(1970, 1, 1, 0, 10, tzinfo=UTC)),
        ("1970-01-01T01:10:00+01:00", datetime(1970, 1, 1, 0, 10, tzinfo=UTC)),
    ],
)
def test_moment_is_a_time_with_its_offset_or_a_duration(text: str, expected: datetime | timedelta) -> None:
    assert moment(text) == expected


@pytest.mark.parametrize(
    "text", ["", "yesterday", "1970-01-01T00:10", "2h ago", "1000001d", "9" * 400, "9999-12-31T23:59-14:00"]
)
def test_moment_without_offset_is_refused_with_the_expected_form(text: str) -> None:
    with pytest.raises(ValueError, match="expected a time with its offset"):
        moment(text)
