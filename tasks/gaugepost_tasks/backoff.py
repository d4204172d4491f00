"""Back-off schedules and jitter. Time and random numbers are arguments.

Settings override the schedule of a verdict (`GAUGEPOST_BACKOFF__NO_CAMPAIGN="5m,30m,2h,12h"`).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from gaugepost.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_M = 60.0
_H = 3600.0
_V = Verdict

Schedule = tuple[float, ...]
"""Successive waits in seconds."""

_SERVER = (2.0, 10.0, 1 * _M, 5 * _M, 15 * _M, 1 * _H, 3 * _H, 6 * _H)
_UNRECOGNISED = (1 * _M, 10 * _M, 1 * _H)

SCHEDULES: Mapping[str, Schedule] = MappingProxyType(
    {
        _V.NO_CAMPAIGN: (5 * _M, 30 * _M, 2 * _H, 12 * _H),
        _V.MAPPING_DRIFT: (5 * _M, 30 * _M, 2 * _H),
        _V.UNRECOGNISED_422: _UNRECOGNISED,
        _V.UNRECOGNISED_400: _UNRECOGNISED,
        _V.UNRECOGNISED_404: _UNRECOGNISED,
        _V.UNRECOGNISED_200: _UNRECOGNISED,
        _V.SERVER_ERROR: _SERVER,
        _V.UNREACHABLE: _SERVER,
        _V.LOST_ANSWER: _SERVER,
        _V.UNREADABLE_SUCCESS: _SERVER,
    }
)
"""Verdict → waits of a job between attempts. After the last wait the job is dead, except for `unreachable`."""

FAMILIES: tuple[frozenset[Verdict], ...] = (
    frozenset({_V.SERVER_ERROR, _V.UNREACHABLE, _V.LOST_ANSWER, _V.UNREADABLE_SUCCESS}),
    frozenset({_V.UNRECOGNISED_422, _V.UNRECOGNISED_400, _V.UNRECOGNISED_404, _V.UNRECOGNISED_200}),
)
"""Verdicts that share one count of attempts: a server that fails in several ways is still one failing server."""

PROBES: Mapping[str, Schedule] = MappingProxyType(
    {
        "credentials": (1 * _M, 5 * _M, 15 * _M),
        "token": (1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 60.0),
        "throttled": (30.0, 60.0, 120.0, 240.0, 480.0, 600.0),
        "mapping": (5 * _M, 30 * _M, 2 * _H, 6 * _H),
        "breaker": (15.0, 1 * _M, 5 * _M),
    }
)
"""Type of hold → waits before its probes, in seconds. The last wait repeats."""

UPLOAD_POLL: Schedule = (1 * _M, 2 * _M, 5 * _M, 10 * _M)
"""Waits between two looks at the statistics of an upload, in seconds. The last wait repeats."""

_SHORTEST_PROBE = 1.0  # "Retry-After: 0" must not make a tight loop


def family_of(verdict: Verdict) -> frozenset[Verdict]:
    """Return the verdicts that share their count of attempts with this one, itself included."""
    return next((family for family in FAMILIES if verdict in family), frozenset({verdict}))


def schedule_of(verdict: Verdict, overrides: Mapping[Verdict, Sequence[float]]) -> Sequence[float]:
    """Return the waits of a verdict in seconds. An override of `server_error` covers its family."""
    if verdict in overrides:
        return overrides[verdict]
    if verdict in family_of(_V.SERVER_ERROR) and _V.SERVER_ERROR in overrides:
        return overrides[_V.SERVER_ERROR]
    return SCHEDULES[verdict]


def delay_ms(schedule: Sequence[float], step: int, rand: float, *, late_only: bool = False) -> int | None:
    """Return the wait of a step (from 0) in ms with ±20 % jitter; None after the last step.

    `rand`: in [0, 1). `late_only`: add up to 20 % and never subtract, as a Retry-After demands.
    """
    if not 0 <= step < len(schedule):
        return None
    spread = 1 + 0.2 * rand if late_only else 0.8 + 0.4 * rand
    return round(schedule[step] * 1000 * spread)


def poll_ms(poll: Sequence[float], looks: int, rand: float) -> int:
    """Return the wait in ms before the next look at the statistics of an upload, after `looks` looks."""
    return delay_ms(poll, min(looks, len(poll) - 1), rand) or 0


def probes_ms(hold_type: str, rand: float) -> tuple[int, ...]:
    """Return the waits in ms before the probes of a hold, all with the same jitter of ±20 %."""
    return _all_ms(PROBES[hold_type], rand)


def throttle_probes_ms(retry_after_s: float | None, rand: float) -> tuple[int, ...]:
    """Return the waits in ms before the probes of a throttled region; none is shorter than `retry_after_s`."""
    if retry_after_s is None:
        return probes_ms("throttled", rand)
    shortest = max(retry_after_s, _SHORTEST_PROBE)
    return _all_ms((shortest, *(max(shortest, wait) for wait in PROBES["throttled"])), rand, late_only=True)


def _all_ms(waits: Sequence[float], rand: float, *, late_only: bool = False) -> tuple[int, ...]:
    delays = (delay_ms(waits, step, rand, late_only=late_only) for step in range(len(waits)))
    return tuple(delay for delay in delays if delay is not None)
