from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaugepost.durations import schedule
from gaugepost.verdict import Verdict
from gaugepost_tasks.backoff import PROBES, SCHEDULES, delay_ms, family_of, probes_ms, schedule_of, throttle_probes_ms

RANDS = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize(
    ("verdicts", "waits"),
    [
        (["no_campaign"], "5m,30m,2h,12h"),
        (["mapping_drift"], "5m,30m,2h"),
        (["unrecognised_422", "unrecognised_400", "unrecognised_404", "unrecognised_200"], "1m,10m,1h"),
        (["server_error", "unreachable", "lost_answer"], "2s,10s,1m,5m,15m,1h,3h,6h"),
    ],
)
def test_the_schedules_are_those_of_the_policy(verdicts: list[str], waits: str) -> None:
    assert [SCHEDULES[verdict] for verdict in verdicts] == [schedule(waits)] * len(verdicts)


@pytest.mark.parametrize(
    ("sort", "waits"),
    [
        ("credentials", "1m,5m,15m"),
        ("token", "1s,2s,5s,10s,20s,40s,60s"),
        ("throttled", "30s,1m,2m,4m,8m,10m"),
        ("mapping", "5m,30m,2h,6h"),
        ("breaker", "15s,1m,5m"),
    ],
)
def test_the_probes_are_those_of_the_policy(sort: str, waits: str) -> None:
    assert PROBES[sort] == schedule(waits)
    assert probes_ms(sort, 0.5) == tuple(round(wait * 1000) for wait in schedule(waits))


def test_only_verdicts_of_the_policy_have_a_schedule() -> None:
    assert len(SCHEDULES) == 10
    assert set(SCHEDULES) <= set(Verdict)


@given(st.lists(st.floats(0.001, 1e6), max_size=9), st.integers(-2, 12), RANDS)
def test_jitter_is_at_most_a_fifth_and_schedules_end(waits: list[float], step: int, rand: float) -> None:
    delay = delay_ms(waits, step, rand)
    if 0 <= step < len(waits):
        assert waits[step] * 800 - 1 <= delay <= waits[step] * 1200 + 1
    else:
        assert delay is None


@given(st.floats(1, 86_400), RANDS)
def test_no_probe_is_earlier_than_retry_after(retry_after_s: float, rand: float) -> None:
    probes = throttle_probes_ms(retry_after_s, rand)
    assert retry_after_s * 1000 - 1 <= probes[0] <= retry_after_s * 1200 + 1
    assert all(probe >= probes[0] for probe in probes)
    assert probes[-1] >= 600_000


def test_throttled_region_without_retry_after_waits_30_s_and_doubles() -> None:
    assert throttle_probes_ms(None, 0.5) == (30_000, 60_000, 120_000, 240_000, 480_000, 600_000)


def test_a_retry_after_of_zero_makes_no_tight_loop() -> None:
    assert throttle_probes_ms(0, 0.0)[:2] == (1000, 30_000)


def test_jitter_reaches_from_80_to_120_percent() -> None:
    assert [delay_ms([10], 0, rand) for rand in (0.0, 0.5, 0.999999)] == [8000, 10_000, 12_000]
    assert [delay_ms([10], 0, rand, late_only=True) for rand in (0.0, 0.999999)] == [10_000, 12_000]


def test_override_of_server_error_covers_its_family() -> None:
    overrides = {"server_error": (1.0,), "no_campaign": (2.0,)}
    assert schedule_of(Verdict.NO_CAMPAIGN, overrides) == (2.0,)
    assert schedule_of(Verdict.UNREACHABLE, overrides) == (1.0,)
    assert schedule_of(Verdict.UNREACHABLE, overrides | {"unreachable": (3.0,)}) == (3.0,)
    assert schedule_of(Verdict.MAPPING_DRIFT, overrides) == SCHEDULES[Verdict.MAPPING_DRIFT]


def test_a_server_that_fails_in_several_ways_is_one_family() -> None:
    family = {Verdict.SERVER_ERROR, Verdict.UNREACHABLE, Verdict.LOST_ANSWER, Verdict.UNREADABLE_SUCCESS}
    assert family_of(Verdict.LOST_ANSWER) == family
    assert family_of(Verdict.NO_CAMPAIGN) == {Verdict.NO_CAMPAIGN}
