"""`BatchView`: the jobs that were enqueued under one name, counted, and the progress of their canary."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gaugepost.ledger.holds import iso
from gaugepost.ledger.scripts import our_errors
from gaugepost.states import JobState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import redis

    from gaugepost.ledger.key_prefix import CurrentKeys

_RECENT_MS = 120_000
_LEFT = (JobState.QUEUED, JobState.WAITING, JobState.SENDING, JobState.PARKED)
_WORST_FIRST = ("held", "running", "resumed", "passed")


@dataclass(frozen=True, slots=True)
class Canary:
    """The first jobs of a batch.

    `state`: `running`, `passed`, `held`, or `resumed` by a person. `reason`: the decision in words; None while it
    runs. `members`: how many jobs it has so far; `ended`: how many of them have ended; `faulty`: how many of these
    are not clean. `open`: the ids of the members that have not ended.
    """

    size: int
    tolerance: float
    state: str
    reason: str | None
    members: int
    ended: int
    faulty: int
    open: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the canary in the form of `batch --json`."""
        percent = int(self.tolerance) if self.tolerance.is_integer() else self.tolerance
        facts = {"size": self.size, "tolerance": percent, "state": self.state, "reason": self.reason}
        return facts | {"members": self.members, "ended": self.ended, "not_clean": self.faulty}


@dataclass(frozen=True, slots=True)
class BatchView:
    """One batch in one region. Times are Unix ms.

    `total`: jobs that were ever stored, deleted ones included. `states` and `verdicts`: numbers of jobs. `rate`: jobs
    that ended in a second, lately. `held`: jobs that wait for the canary.
    """

    name: str
    total: int
    states: Mapping[str, int]
    verdicts: Mapping[str, int]
    warnings: int
    started: int
    active: int
    now: int
    rate: float = 0.0
    held: int = 0
    canary: Canary | None = None
    regions: Mapping[str, BatchView] = field(default_factory=dict)
    """The batch in each region, if it was read from several."""

    @property
    def left(self) -> int:
        """How many jobs have not ended."""
        return sum(self.states.get(str(state), 0) for state in _LEFT)

    @property
    def ends(self) -> int | None:
        """When all jobs will have ended at the present rate; None while some wait for the canary, or none ends."""
        waits = self.canary is not None and self.canary.state in {"running", "held"} and self.held
        return None if waits or not self.rate or not self.left else self.now + int(self.left / self.rate * 1000)

    def to_dict(self) -> dict[str, Any]:
        """Return the batch in the form of `batch --json`."""
        facts: dict[str, Any] = {
            "batch": self.name,
            "total": self.total,
            "states": dict(self.states),
            "verdicts": dict(self.verdicts),
            "warnings": self.warnings,
            "canary": self.canary and self.canary.to_dict(),
            "held": self.held,
            "rate": round(self.rate, 2),
            "ends_at": iso(self.ends),
            "started_at": iso(self.started),
            "active_at": iso(self.active),
        }
        return facts | (
            {"regions": {name: one.to_dict() for name, one in self.regions.items()}} if self.regions else {}
        )


def merged(found: Mapping[str, BatchView]) -> BatchView:
    """Return one view of a batch in all its regions. Its canary is the one that needs a person most."""
    views = list(found.values())
    canaries = [view.canary for view in views if view.canary is not None]
    worst = min(canaries, key=lambda one: _WORST_FIRST.index(one.state), default=None)
    return BatchView(
        views[0].name,
        sum(view.total for view in views),
        _sum(view.states for view in views),
        _sum(view.verdicts for view in views),
        sum(view.warnings for view in views),
        min(view.started for view in views),
        max(view.active for view in views),
        max(view.now for view in views),
        sum(view.rate for view in views),
        sum(view.held for view in views),
        worst,
        dict(found),
    )


def _sum(numbers: Any) -> dict[str, int]:  # noqa: ANN401 - an iterable of mappings
    total: Counter[str] = Counter()
    for one in numbers:
        total.update(one)
    return dict(total)


class Batches:
    """Reads the batches of one region."""

    def __init__(self, client: redis.Redis, keys: CurrentKeys) -> None:
        self._client: Any = client
        self._keys = keys

    def read(self, names: Sequence[str]) -> list[BatchView | None]:
        """Read batches; None for an unknown name."""
        keys = self._keys.keys()
        with our_errors():
            pipe = self._client.pipeline(transaction=False)
            pipe.time()
            for name in names:
                pipe.hgetall(keys.of("batch:", name))
                pipe.hgetall(keys.of("canary:", name))
                pipe.zcard(keys.of("held:", f"batch:{name}"))
            (seconds, micros), *rows = pipe.execute()
        now = seconds * 1000 + micros // 1000
        found = zip(names, rows[::3], rows[1::3], rows[2::3], strict=True)
        return [_read(name, row, members, held, now) for name, row, members, held in found]

    def newest(self, limit: int) -> list[str]:
        """Return the names of batches, the last changed first."""
        with our_errors():
            found = self._client.zrevrange(self._keys.keys()["batches"], 0, limit - 1)
        return [name.decode() for name in found]


def _read(
    name: str, row: Mapping[bytes, bytes], members: Mapping[bytes, bytes], held: int, now: int
) -> BatchView | None:
    text = {field.decode(): value.decode() for field, value in row.items()}
    if "started" not in text:
        return None
    states = {str(state): int(text[state]) for state in JobState if int(text.get(state, "0"))}
    dead = {field.removeprefix("dead:"): int(value) for field, value in sorted(text.items()) if field[:5] == "dead:"}
    return BatchView(
        name,
        total=int(text.get("total", "0")),
        states=states,
        verdicts={verdict: number for verdict, number in dead.items() if number},
        warnings=int(text.get("warnings", "0")),
        started=int(text["started"]),
        active=int(text.get("active", text["started"])),
        now=now,
        rate=_rate(text, now),
        held=held,
        canary=_canary(text, members) if "canary" in text else None,
    )


def _rate(text: Mapping[str, str], now: int) -> float:
    """Return how many jobs ended in a second, lately."""
    since_now, since_before = int(text.get("since_now", "0")), int(text.get("since_before", "0"))
    if not since_now or now - int(text.get("active", "0")) > _RECENT_MS:
        return 0.0
    before = int(text.get("ended_before", "0"))
    since = since_before if before and now - since_before < _RECENT_MS else since_now
    ended = int(text.get("ended_now", "0")) + (before if since == since_before else 0)
    return ended / max(1.0, (now - since) / 1000)


def _canary(text: Mapping[str, str], members: Mapping[bytes, bytes]) -> Canary:
    ended = [outcome for outcome in members.values() if outcome]
    return Canary(
        int(text["canary"]),
        float(text["tolerance"]),
        text["canary_state"],
        text.get("canary_reason"),
        len(members),
        len(ended),
        sum(outcome not in {b"clean", b"unsent", b"cancelled"} for outcome in ended),
        tuple(job_id.decode() for job_id, outcome in members.items() if not outcome),
    )
