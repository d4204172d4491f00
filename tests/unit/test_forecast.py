"""Check the forecast of upload starts for any lane."""

from __future__ import annotations

from itertools import pairwise

import hypothesis.strategies as st
from hypothesis import given

from gaugepost.forecast import Lane

NOW = 1_795_305_600_000
times = st.integers(NOW - 10_000_000, NOW + 10_000_000)


@st.composite
def lanes(draw: st.DrawFn) -> Lane:
    return Lane(
        now=NOW,
        interval=draw(st.integers(1, 3_600_000)),
        last_start=draw(st.none() | times),
        ahead=draw(st.integers(0, 600)),
        held=draw(st.booleans()),
        held_until=draw(st.none() | times),
    )


@given(lanes(), st.integers(0, 60))
def test_starts_are_an_interval_apart_after_now_slot_and_hold(lane: Lane, files: int) -> None:
    starts = lane.starts(files)
    assert len(starts) == files
    if lane.held and lane.held_until is None:
        assert set(starts) <= {None}
        return
    known = [start for start in starts if start is not None]
    assert len(known) == files
    assert all(later - earlier == lane.interval for earlier, later in pairwise(known))
    for start in known[:1]:
        behind = start - lane.ahead * lane.interval
        assert behind >= NOW
        assert lane.last_start is None or behind - lane.last_start >= lane.interval
        assert not lane.held or behind >= (lane.held_until or 0)


def test_50_parts_on_an_idle_lane_take_8_hours_10_minutes() -> None:
    starts = Lane(NOW, 600_000).starts(50)
    assert (starts[0], starts[-1]) == (NOW, NOW + (8 * 60 + 10) * 60_000)


def test_next_slot_of_a_started_lane_opens_an_interval_later() -> None:
    assert Lane(NOW, 600_000, last_start=NOW - 1000, ahead=2).starts(1) == [NOW + 599_000 + 1_200_000]


def test_hold_moves_the_forecast_to_its_end_or_leaves_it_open() -> None:
    assert Lane(NOW, 1000, held=True, held_until=NOW + 5000).starts(2) == [NOW + 5000, NOW + 6000]
    assert Lane(NOW, 1000, held=True).starts(2) == [None, None]
    assert Lane(NOW, 1000, held=True, held_until=NOW - 5000).next_slot() == NOW


def test_files_with_deliver_at_start_no_earlier() -> None:
    lane = Lane(NOW, 1000, ahead=2)
    assert lane.starts(2, NOW + 9000) == [NOW + 9000, NOW + 10_000]
    assert lane.starts(1, NOW + 1) == [NOW + 2000]
