"""Walks the ledger's places in steps, and counts them without walking: listings stay instant at any backlog."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gaugepost.forecast import Lane
from gaugepost.ledger.explanations import explained
from gaugepost.ledger.holds import Hold, iso
from gaugepost.ledger.presence import Presence, answered, ask
from gaugepost.ledger.scripts import our_errors
from gaugepost.ledger.unreadable import read_number
from gaugepost.states import JobState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import redis

    from gaugepost.keys import Keys

_STEP = 200
_HEADS = 20
_NEWEST_FIRST = frozenset({"delivered", "dead", "cancelled", "expired", "unknown"})


class Listing:
    """Looks at one region."""

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._client: Any = client
        self._keys = keys

    def ids(self, state: JobState) -> Iterator[str]:
        """Walk the ids of all jobs in a state: those that go next first, ended ones newest first."""
        match state:
            case JobState.QUEUED:
                places = [*self._lines("urgent"), "again", *self._lines("ready")]
            case JobState.SENDING:
                places = ["leases"]
            case JobState.PARKED:
                places = ["parked", *self._held()]
            case _:
                places = [str(state)]
        for place in places:
            yield from self._walk(place)

    def _held(self) -> list[str]:
        with our_errors():
            scopes = {*self._client.hkeys(self._keys["holds"]), *self._client.smembers(self._keys["releasing"])}
        return [f"held:{scope.decode()}" for scope in sorted(scopes) if scope]

    def kept_by(self, scopes: Sequence[str]) -> list[int]:
        """Count the jobs under each scope's hold: parked ones of its own; a region's are queued, or wait in lanes."""
        with our_errors():
            pipe = self._client.pipeline(transaction=False)
            pipe.hmget(self._keys["counts"], "queued", "waiting")
            for scope in scopes:
                pipe.zcard(self._keys.of("held:", scope))
            [open_counts, *parked] = pipe.execute()
        in_region = sum(int(number or 0) for number in open_counts)
        return [number + (0 if scope else in_region) for scope, number in zip(scopes, parked, strict=True)]

    def _lines(self, name: str) -> list[str]:
        """Return the lists of ready jobs, a source each: the one whose turn it is first, those aside last."""
        turns = "turns" if name == "ready" else "urgent_turns"
        with our_errors():
            sources = self._client.lrange(self._keys[turns], 0, -1)
            cold = [b"~" + configuration for configuration in self._client.hkeys(self._keys["cold"])]
        return [f"{name}:{source.decode()}" for source in dict.fromkeys([*sources, *cold])]

    def _walk(self, place: str) -> Iterator[str]:
        key = self._keys.prefix + place
        start = 0
        while True:
            stop = start + _STEP - 1
            with our_errors():
                if place.startswith(("ready:", "urgent:")):
                    step = self._client.lrange(key, start, stop)
                else:
                    step = self._client.zrange(key, start, stop, desc=place in _NEWEST_FIRST)
            yield from (job_id.decode() for job_id in step)
            if len(step) < _STEP:
                return
            start += _STEP

    def waiting_files(self, lane: str) -> Iterator[str]:
        """Walk the files of an upload lane, in the order they will go."""
        return self._walk(lane)

    def upload_lane(self, lane: str, holds: Sequence[Hold], interval_s: float, *, first: bool) -> Lane:
        """Return what a forecast of an upload lane stands on: all of `holds` keep it."""
        with our_errors():
            pipe = self._client.pipeline(transaction=False)
            pipe.get(self._keys["slot"] + lane.removeprefix("files"))
            pipe.zcount(self._keys.prefix + lane, "-inf", "(0" if first else "+inf")  # the first stand below zero
            pipe.time()
            slot, waiting, (seconds, micros) = pipe.execute()
        ends = [hold.until or hold.probe_at for hold in holds]
        held_until = None if None in ends else max((end for end in ends if end is not None), default=None)
        return Lane(
            now=seconds * 1000 + micros // 1000,
            interval=int(interval_s * 1000),
            last_start=int(slot) if slot else None,
            ahead=waiting,
            held=bool(holds),
            held_until=held_until,
        )

    def summary(self, holds: Mapping[str, Hold], interval_s: float) -> dict[str, Any]:
        """Return the figures of one region: jobs by state, reason and verdict, holds, token, slot, oldest job."""
        with our_errors():
            pipe = self._client.pipeline(transaction=False)
            pipe.hgetall(self._keys["counts"])
            pipe.get(self._keys["slot"])
            pipe.hget(self._keys["token"], "expires")
            pipe.hget(self._keys["concurrency"], "limit")
            ask(pipe, self._keys)
            raw_counts, slot, token, limit, *answers = pipe.execute()
            oldest = self._oldest()
        counts = {name.decode(): int(number) for name, number in raw_counts.items()}
        presence = answered(self._keys.region, answers)
        now = presence.now
        oldest_s = None if oldest is None else round((now - oldest) / 1000, 1)
        return {
            "region": str(self._keys.region),
            **{str(state): counts.get(str(state), 0) for state in JobState},
            "parked_by_reason": _under(counts, "parked:"),
            "dead_by_verdict": _under(counts, "dead:"),
            "holds": [hold.scope or "region" for hold in holds.values()],
            "holds_by_scope": {hold.scope or "region": explained(hold, self._keys.region) for hold in holds.values()},
            "concurrency_limit": int(limit) if limit else None,
            "token_expires": iso(int(token)) if token else None,
            "next_slot": iso(max(now, int(slot) + interval_s * 1000)) if slot else None,
            "oldest_age": oldest_s,  # its name before `oldest_queued_s`
            "oldest_queued_s": oldest_s,
            "workers": presence.workers,
            "beat_age_s": presence.beat_age_s,
            "missing": presence.missing(),
        }

    def presence(self) -> Presence:
        """Return which parts of the region are there."""
        with our_errors():
            pipe = self._client.pipeline(transaction=False)
            ask(pipe, self._keys)
            return answered(self._keys.region, pipe.execute())

    def oldest_urgent_age(self) -> float | None:
        """Return for how many seconds the oldest queued urgent job has been here; None if none waits."""
        with our_errors():
            oldest = self._oldest(urgent_only=True)
            seconds, micros = self._client.time()
        return None if oldest is None else max(0.0, seconds + micros / 1e6 - oldest / 1000)

    def _oldest(self, *, urgent_only: bool = False) -> int | None:
        """Return when the oldest queued job was enqueued, Unix ms: of the heads, where cancelled ids may lie too."""
        lines = self._lines("urgent")[:_HEADS]
        pipe = self._client.pipeline(transaction=False)
        pipe.zrangebyscore(self._keys["again"], "-inf", "(0", start=0, num=1)  # the urgent ones stand below zero
        if not urgent_only:
            lines += self._lines("ready")[:_HEADS]
            pipe.zrangebyscore(self._keys["again"], 0, "+inf", start=0, num=1)
        for line in lines:
            pipe.lrange(self._keys.prefix + line, 0, _HEADS - 1)
        heads = [job_id for found in pipe.execute() for job_id in found]
        for job_id in heads:
            pipe.hmget(self._keys.of("job:", job_id.decode()), "state", "at")
        stamps = [read_number(at) for state, at in pipe.execute() if state == b"queued"]
        return min((stamp // 1000 for stamp in stamps if stamp is not None), default=None)


def _under(counts: Mapping[str, int], prefix: str) -> dict[str, int]:
    return {name.removeprefix(prefix): number for name, number in sorted(counts.items()) if name.startswith(prefix)}
