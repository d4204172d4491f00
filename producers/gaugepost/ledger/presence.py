"""When workers and beat of a region were last seen. All times are Unix ms by Redis' clock."""

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
"""Number of workers that are read, those seen last."""
_OPEN = frozenset({JobState.QUEUED, JobState.WAITING, JobState.PARKED})

ABSENT_MS = 30_000
"""A worker counts as missing after this time. It reports once a second."""
LATE_MS = 5_000
"""A parked job counts as late after this time. Ticks come once a second, and release due jobs at a bounded rate."""
NO_BEAT_MS = 5_000
"""Workers run the ticks themselves when beat has sent none for this time."""


@dataclass(frozen=True, slots=True)
class Presence:
    """When workers and beat of a region were last seen (None: never). `now`: the time of this read.

    `workers`: number of live worker processes; 0 in `read`, which does not count them.
    """

    region: Region
    now: int
    worker_seen: int | None
    beat_seen: int | None = None
    workers: int = 0

    @property
    def has_worker(self) -> bool:
        """Whether a worker was seen in the last 30 seconds."""
        return self.worker_seen is not None and self.now - self.worker_seen < ABSENT_MS

    @property
    def beat_age_s(self) -> float | None:
        """Seconds since beat last ticked; None: never."""
        return None if self.beat_seen is None else round((self.now - self.beat_seen) / 1000, 1)

    @property
    def has_beat(self) -> bool:
        """Whether beat ticked in the last 5 seconds."""
        return self.beat_seen is not None and self.now - self.beat_seen < NO_BEAT_MS

    def no_worker(self) -> str | None:
        """Return a text that says since when no worker has been seen; None if there is one."""
        if self.has_worker:
            return None
        return f"no worker of {self.region} has been seen {_since(self.worker_seen, self.now)}"

    def no_beat(self) -> str | None:
        """Return a text that says since when no beat has ticked; None if one ticks."""
        return None if self.has_beat else f"no beat has ticked {_since(self.beat_seen, self.now)}"

    def missing(self) -> list[dict[str, str]]:
        """Return the missing parts: `part`, `reason`, and the `command` that starts it."""
        worker, beat = self.no_worker(), self.no_beat()
        if beat and not worker:
            beat += "; workers run the ticks themselves"
        found = (("worker", worker, start_worker(self.region)), ("beat", beat, START_BEAT))
        return [{"part": part, "reason": reason, "command": command} for part, reason, command in found if reason]

    def unattended(self, state: JobState, until: int | None, *, under_hold: bool) -> tuple[str | None, str | None]:
        """Return two texts about a job: since when it lacks a worker, and why it is late. None where it does not.

        `until`: when the job is due, Unix ms. A job under a hold is late only if there is no worker to send the probe.
        """
        absent = self.no_worker()
        if state not in _OPEN or (under_hold and not absent):
            return None, None
        if until is not None:
            late = self.late(until)
            return (absent if late else None), late
        return (absent if state is not JobState.PARKED and not under_hold else None), None

    def late(self, until: int) -> str | None:
        """Return why a job that was due at `until` (Unix ms) still waits; None if it is not late."""
        if self.now - until < LATE_MS:
            return None
        due = f"due since {local_time(until, self.now)}"
        absent = self.no_worker()
        return f"{due}, and {absent}" if absent else f"{due}, being released"


def local_time(ms: int, now: int) -> str:
    """Format Unix ms in local time, to the minute; with the day unless it is today."""
    moment, today = (datetime.fromtimestamp(one / 1000, UTC).astimezone() for one in (ms, now))
    return moment.strftime("%H:%M" if moment.date() == today.date() else "%d %b %H:%M")


def _since(ms: int | None, now: int) -> str:
    return "(never)" if ms is None else f"since {local_time(ms, now)}"


def start_worker(region: Region | str) -> str:
    """Return the command that starts a worker of a region."""
    return f"gaugepost worker --region {region}"


START_BEAT = "gaugepost beat"


def add_commands(pipe: Any, keys: Keys) -> None:  # noqa: ANN401 - redis-py's replies have no types
    """Add the four commands of a `Presence` to a pipeline."""
    pipe.time()
    pipe.hgetall(keys["workers"])
    pipe.zrange(keys["alive"], 0, _MOST - 1, desc=True, withscores=True)
    pipe.hget(keys["pace"], "beat_sent")


def read_answers(region: Region, answers: Sequence[Any]) -> Presence:
    """Parse the answers to the commands of `add_commands`."""
    (seconds, micros), claimed, alive, beat = answers
    now = seconds * 1000 + micros // 1000
    seen = {worker: int(at) for worker, at in alive if at <= now}  # a later time: Redis' clock was set back since
    lately = [at for at in seen.values() if now - at < ABSENT_MS]
    older = _older(claimed, seen, now)
    newest = now if older else max(seen.values(), default=None)
    ticked = read_number(beat, MS_DIGITS)
    beat_seen = ticked if ticked is not None and ticked <= now else None
    return Presence(region, now, newest, beat_seen, len(lately) + older)


def _older(claimed: Mapping[bytes, bytes], seen: Mapping[bytes, int], now: int) -> int:
    """Return the number of workers of older versions, which do not report: those that claimed within two leases."""
    ends = (read_number(entry.partition(b":")[2], MS_DIGITS) for worker, entry in claimed.items() if worker not in seen)
    return sum(end is not None and end > now for end in ends)
