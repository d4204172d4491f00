"""Walks the ledger's places in steps, and counts them without walking: listings stay instant at any backlog."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gaugepost.forecast import Lane
from gaugepost.ledger.scripts import our_errors
from gaugepost.ledger.views import Hold, iso
from gaugepost.states import JobState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import redis

    from gaugepost.keys import Keys

_STEP = 200
_HEADS = 20
_LISTS = frozenset({"ready", "urgent"})
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
                places = ["urgent", "again", "ready"]
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

    def _walk(self, place: str) -> Iterator[str]:
        key = self._keys.prefix + place
        start = 0
        while True:
            stop = start + _STEP - 1
            with our_errors():
                if place in _LISTS:
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
            pipe.time()
            raw_counts, slot, token, (seconds, micros) = pipe.execute()
            oldest = self._oldest()
        counts = {name.decode(): int(number) for name, number in raw_counts.items()}
        now = seconds * 1000 + micros // 1000
        return {
            "region": str(self._keys.region),
            **{str(state): counts.get(str(state), 0) for state in JobState},
            "parked_by_reason": _under(counts, "parked:"),
            "dead_by_verdict": _under(counts, "dead:"),
            "holds": [hold.scope or "region" for hold in holds.values()],
            "token_expires": iso(int(token)) if token else None,
            "next_slot": iso(max(now, int(slot) + interval_s * 1000)) if slot else None,
            "oldest_age": None if oldest is None else round((now - oldest) / 1000, 1),
        }

    def _oldest(self) -> int | None:
        """Return when the oldest queued job was enqueued, Unix ms: of the heads, where cancelled ids may lie too."""
        pipe = self._client.pipeline(transaction=False)
        pipe.lrange(self._keys["urgent"], 0, _HEADS - 1)
        pipe.zrange(self._keys["again"], 0, 0)
        pipe.zrangebyscore(self._keys["again"], 0, "+inf", start=0, num=1)  # behind the urgent ones
        pipe.lrange(self._keys["ready"], 0, _HEADS - 1)
        heads = [job_id for found in pipe.execute() for job_id in found]
        for job_id in heads:
            pipe.hmget(self._keys.of("job:", job_id.decode()), "state", "at")
        stamps = [int(at) // 1000 for state, at in pipe.execute() if state == b"queued"]
        return min(stamps, default=None)


def _under(counts: Mapping[str, int], prefix: str) -> dict[str, int]:
    return {name.removeprefix(prefix): number for name, number in sorted(counts.items()) if name.startswith(prefix)}
