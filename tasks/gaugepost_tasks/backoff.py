"""How long to wait: schedules as data, and the arithmetic of jitter. No clock and no dice in here.

Overrides come from the settings, per verdict (`GAUGEPOST_BACKOFF__NO_CAMPAIGN="5m,30m,2h,12h"`).
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
"""Waits one after another, in seconds."""

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
"""Verdict → waits of a job between its tries. After the last one it is dead, but for `unreachable`."""

FAMILIES: tuple[frozenset[Verdict], ...] = (
    frozenset({_V.SERVER_ERROR, _V.UNREACHABLE, _V.LOST_ANSWER, _V.UNREADABLE_SUCCESS}),
    frozenset({_V.UNRECOGNISED_422, _V.UNRECOGNISED_400, _V.UNRECOGNISED_404, _V.UNRECOGNISED_200}),
)
"""Verdicts whose tries add up: a server that fails now one way and now another is one failing server."""

PROBES: Mapping[str, Schedule] = MappingProxyType(
    {
        "credentials": (1 * _M, 5 * _M, 15 * _M),
        "token": (1.0, 2.0, 5.0, 10.0, 20.0, 40.0, 60.0),
        "throttled": (30.0, 60.0, 120.0, 240.0, 480.0, 600.0),
        "mapping": (5 * _M, 30 * _M, 2 * _H, 6 * _H),
        "breaker": (15.0, 1 * _M, 5 * _M),
    }
)
"""Sort of hold → waits before its probes; the last one repeats."""

UPLOAD_POLL: Schedule = (1 * _M, 2 * _M, 5 * _M, 10 * _M)
"""Waits between two looks at an upload's statistics; the last one repeats."""

_SHORTEST_PROBE = 1.0  # "Retry-After: 0" must not make a tight loop


def family_of(verdict: Verdict) -> frozenset[Verdict]:
    """Return the verdicts whose tries add up with this one's, itself among them."""
    return next((family for family in FAMILIES if verdict in family), frozenset({verdict}))


def schedule_of(verdict: Verdict, overrides: Mapping[Verdict, Sequence[float]]) -> Sequence[float]:
    """Return a verdict's waits in seconds; `server_error`'s override holds for its whole family, if no nearer one."""
    if verdict in overrides:
        return overrides[verdict]
    if verdict in family_of(_V.SERVER_ERROR) and _V.SERVER_ERROR in overrides:
        return overrides[_V.SERVER_ERROR]
    return SCHEDULES[verdict]


def delay_ms(schedule: Sequence[float], step: int, rand: float, *, late_only: bool = False) -> int | None:
    """Return the wait of a step (from 0) in ms, with ±20 % jitter; None when the schedule is used up.

    `rand` is in [0, 1). `late_only`: up to 20 % later and never earlier, as after a Retry-After.
    """
    if not 0 <= step < len(schedule):
        return None
    spread = 1 + 0.2 * rand if late_only else 0.8 + 0.4 * rand
    return round(schedule[step] * 1000 * spread)


def poll_ms(poll: Sequence[float], looks: int, rand: float) -> int:
    """Return the wait before the next look at an upload's statistics, in ms, after so many looks."""
    return delay_ms(poll, min(looks, len(poll) - 1), rand) or 0


def probes_ms(sort: str, rand: float) -> tuple[int, ...]:
    """Return a sort of hold's waits before its probes, in ms, all shifted by one jitter of ±20 %."""
    return _all_ms(PROBES[sort], rand)


def throttle_probes_ms(retry_after_s: float | None, rand: float) -> tuple[int, ...]:
    """Return the waits of a throttled region: as told first, then doubling, but never sooner than told."""
    if retry_after_s is None:
        return probes_ms("throttled", rand)
    shortest = max(retry_after_s, _SHORTEST_PROBE)
    return _all_ms((shortest, *(max(shortest, wait) for wait in PROBES["throttled"])), rand, late_only=True)


def _all_ms(waits: Sequence[float], rand: float, *, late_only: bool = False) -> tuple[int, ...]:
    delays = (delay_ms(waits, step, rand, late_only=late_only) for step in range(len(waits)))
    return tuple(delay for delay in delays if delay is not None)
