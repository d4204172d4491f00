"""Whether anybody works: when workers and beat of a region were last seen, by Redis' clock (Unix ms)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gaugepost.ledger.unreadable import MS_DIGITS, read_number
from gaugepost.states import JobState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gaugepost.keys import Keys
    from gaugepost.regions import Region

_MOST = 1_000
"""Workers that are looked at, those seen last."""
_OPEN = frozenset({JobState.QUEUED, JobState.WAITING, JobState.PARKED})

ABSENT_MS = 30_000
"""A worker that was not seen for so long is not there; it says that it lives once a second."""
LATE_MS = 5_000
"""A parked job may be so late before its record says why: ticks come once a second, due jobs go at a bounded rate."""
NO_BEAT_MS = 5_000
"""After so long without a tick of beat the workers run the ticks."""


@dataclass(frozen=True, slots=True)
class Presence:
    """Who is there in a region. `worker_seen` and `beat_seen`: None means never.

    `workers` counts the processes that are alive; where only the reason of a job is asked for, it is not counted (0).
    """

    region: Region
    now: int
    worker_seen: int | None
    beat_seen: int | None = None
    workers: int = 0

    @property
    def has_worker(self) -> bool:
        """Return whether a worker was seen in the last 30 seconds."""
        return self.worker_seen is not None and self.now - self.worker_seen < ABSENT_MS

    @property
    def beat_age_s(self) -> float | None:
        """Return for how many seconds beat has not ticked; None: it never did."""
        return None if self.beat_seen is None else round((self.now - self.beat_seen) / 1000, 1)

    @property
    def has_beat(self) -> bool:
        """Return whether beat has ticked in the last 5 seconds."""
        return self.beat_seen is not None and self.now - self.beat_seen < NO_BEAT_MS

    def no_worker(self) -> str | None:
        """Say since when no worker has been seen; None: one is there."""
        if self.has_worker:
            return None
        return f"no worker of {self.region} has been seen {_since(self.worker_seen, self.now)}"

    def no_beat(self) -> str | None:
        """Say since when no beat has ticked; None: one does."""
        return None if self.has_beat else f"no beat has ticked {_since(self.beat_seen, self.now)}"

    def missing(self) -> list[dict[str, str]]:
        """Name the parts that are not there: why one misses them, and the command that starts each."""
        worker, beat = self.no_worker(), self.no_beat()
        if beat and not worker:
            beat += "; workers run the ticks themselves"
        found = (("worker", worker, start_worker(self.region)), ("beat", beat, START_BEAT))
        return [{"part": part, "reason": reason, "command": command} for part, reason, command in found if reason]

    def unattended(self, state: JobState, until: int | None, *, under_hold: bool) -> tuple[str | None, str | None]:
        """Say since when no worker has been seen, if a job waits for one; and why it is late, if it is.

        What waits under a hold waits for that: it is late only where no worker is there to send the hold's probe.
        """
        absent = self.no_worker()
        if state not in _OPEN or (under_hold and not absent):
            return None, None
        if until is not None:
            late = self.late(until)
            return (absent if late else None), late
        return (absent if state is not JobState.PARKED and not under_hold else None), None

    def late(self, until: int) -> str | None:
        """Say why a job that was due at this time (Unix ms) still waits; None: it is not late."""
        if self.now - until < LATE_MS:
            return None
        due = f"due since {local_time(until, self.now)}"
        absent = self.no_worker()
        return f"{due}, and {absent}" if absent else f"{due}, being released"


def local_time(ms: int, now: int) -> str:
    """Write a time for people: local, to the minute, with the day unless it is today."""
    moment, today = (datetime.fromtimestamp(one / 1000, UTC).astimezone() for one in (ms, now))
    return moment.strftime("%H:%M" if moment.date() == today.date() else "%d %b %H:%M")


def _since(ms: int | None, now: int) -> str:
    return "(never)" if ms is None else f"since {local_time(ms, now)}"


def start_worker(region: Region | str) -> str:
    """Return the command that starts a worker of a region."""
    return f"gaugepost worker --region {region}"


START_BEAT = "gaugepost beat"


def ask(pipe: Any, keys: Keys) -> None:  # noqa: ANN401 - redis-py's replies have no types
    """Add to a pipeline the four commands whose answers `Presence` is made of."""
    pipe.time()
    pipe.hgetall(keys["workers"])
    pipe.zrange(keys["alive"], 0, _MOST - 1, desc=True, withscores=True)
    pipe.hget(keys["pace"], "beat_sent")


def answered(region: Region, answers: Sequence[Any]) -> Presence:
    """Read the answers to what `ask` asked for."""
    (seconds, micros), claimed, alive, beat = answers
    now = seconds * 1000 + micros // 1000
    seen = {worker: int(at) for worker, at in alive if at <= now}  # a later one is from before the clock was set back
    lately = [at for at in seen.values() if now - at < ABSENT_MS]
    older = _older(claimed, seen, now)
    newest = now if older else max(seen.values(), default=None)
    ticked = read_number(beat, MS_DIGITS)
    beat_seen = ticked if ticked is not None and ticked <= now else None
    return Presence(region, now, newest, beat_seen, len(lately) + older)


def _older(claimed: Mapping[bytes, bytes], seen: Mapping[bytes, int], now: int) -> int:
    """Count workers of versions that do not say that they live: those that claimed within two leases."""
    ends = (read_number(entry.partition(b":")[2], MS_DIGITS) for worker, entry in claimed.items() if worker not in seen)
    return sum(end is not None and end > now for end in ends)
