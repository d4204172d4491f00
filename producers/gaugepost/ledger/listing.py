"""List the ids of jobs step by step, and read counts. No call takes longer when the backlog is long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gaugepost.forecast import Lane
from gaugepost.ledger.explanations import explained
from gaugepost.ledger.holds import Hold, iso
from gaugepost.ledger.presence import Presence, add_commands, read_answers
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
    """The reads of one region, outside of scripts."""

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._client: Any = client
        self._keys = keys

    def ids(self, state: JobState) -> Iterator[str]:
        """Yield the ids of all jobs in a state: the next ones to be sent first; of ended jobs the newest first."""
        match state:
            case JobState.QUEUED:
                names = [*self._ready_lists("urgent"), "again", *self._ready_lists("ready")]
            case JobState.SENDING:
                names = ["leases"]
            case JobState.PARKED:
                names = ["parked", *self._held()]
            case _:
                names = [str(state)]
        for name in names:
            yield from self._walk(name)

    def _held(self) -> list[str]:
        with our_errors():
            scopes = {*self._client.hkeys(self._keys["holds"]), *self._client.smembers(self._keys["releasing"])}
        return [f"held:{scope.decode()}" for scope in sorted(scopes) if scope]

    def kept_by(self, scopes: Sequence[str]) -> list[int]:
        """Return the number of jobs that the hold of each scope keeps.

        A hold of the region (scope "") keeps the queued and waiting jobs; all others keep their parked jobs.
        """
        with our_errors():
            pipe = self._client.pipeline(transaction=False)
            pipe.hmget(self._keys["counts"], "queued", "waiting")
            for scope in scopes:
                pipe.zcard(self._keys.of("held:", scope))
            [open_counts, *parked] = pipe.execute()
        in_region = sum(int(number or 0) for number in open_counts)
        return [number + (0 if scope else in_region) for scope, number in zip(scopes, parked, strict=True)]

    def _ready_lists(self, name: str) -> list[str]:
        """Return the names of the sources' lists of ready jobs, in the order of their turns.

        Last come those of jobs that wait for the first answer of their configuration.
        """
        turns = "turns" if name == "ready" else "urgent_turns"
        with our_errors():
            sources = self._client.lrange(self._keys[turns], 0, -1)
            cold = [b"~" + configuration for configuration in self._client.hkeys(self._keys["cold"])]
        return [f"{name}:{source.decode()}" for source in dict.fromkeys([*sources, *cold])]

    def _walk(self, name: str) -> Iterator[str]:
        key = self._keys.prefix + name
        start = 0
        while True:
            stop = start + _STEP - 1
            with our_errors():
                if name.startswith(("ready:", "urgent:")):
                    step = self._client.lrange(key, start, stop)
                else:
                    step = self._client.zrange(key, start, stop, desc=name in _NEWEST_FIRST)
            yield from (job_id.decode() for job_id in step)
            if len(step) < _STEP:
                return
            start += _STEP

    def waiting_files(self, lane: str) -> Iterator[str]:
        """Yield the ids of the files of an upload lane, in the order in which they will be sent."""
        return self._walk(lane)

    def upload_lane(self, lane: str, holds: Sequence[Hold], interval_s: float, *, first: bool) -> Lane:
        """Return the state of an upload lane for a forecast. `holds`: the holds that stop it.

        `first`: count only the waiting files that go before all others.
        """
        with our_errors():
            pipe = self._client.pipeline(transaction=False)
            pipe.get(self._keys["slot"] + lane.removeprefix("files"))
            pipe.zcount(
                self._keys.prefix + lane, "-inf", "(0" if first else "+inf"
            )  # files that go first have negative scores
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
        """Return the region's part of `gaugepost status`: jobs by state, reason and verdict, holds, token, slot."""
        with our_errors():
            pipe = self._client.pipeline(transaction=False)
            pipe.hgetall(self._keys["counts"])
            pipe.get(self._keys["slot"])
            pipe.hget(self._keys["token"], "expires")
            pipe.hget(self._keys["concurrency"], "limit")
            add_commands(pipe, self._keys)
            raw_counts, slot, token, limit, *answers = pipe.execute()
            oldest = self._oldest()
        counts = {name.decode(): int(number) for name, number in raw_counts.items()}
        presence = read_answers(self._keys.region, answers)
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
        """Return when workers and beat of the region were last seen."""
        with our_errors():
            pipe = self._client.pipeline(transaction=False)
            add_commands(pipe, self._keys)
            return read_answers(self._keys.region, pipe.execute())

    def oldest_urgent_age(self) -> float | None:
        """Return the age of the oldest queued urgent job in seconds; None if there is none."""
        with our_errors():
            oldest = self._oldest(urgent_only=True)
            seconds, micros = self._client.time()
        return None if oldest is None else max(0.0, seconds + micros / 1e6 - oldest / 1000)

    def _oldest(self, *, urgent_only: bool = False) -> int | None:
        """Return when the oldest queued job was enqueued, Unix ms; None if there is none.

        Read the first ids of each list, because some may be of cancelled jobs.
        """
        lists = self._ready_lists("urgent")[:_HEADS]
        pipe = self._client.pipeline(transaction=False)
        pipe.zrangebyscore(self._keys["again"], "-inf", "(0", start=0, num=1)  # urgent jobs have negative scores
        if not urgent_only:
            lists += self._ready_lists("ready")[:_HEADS]
            pipe.zrangebyscore(self._keys["again"], 0, "+inf", start=0, num=1)
        for name in lists:
            pipe.lrange(self._keys.prefix + name, 0, _HEADS - 1)
        heads = [job_id for found in pipe.execute() for job_id in found]
        for job_id in heads:
            pipe.hmget(self._keys.of("job:", job_id.decode()), "state", "at")
        stamps = [read_number(at) for state, at in pipe.execute() if state == b"queued"]
        return min((stamp // 1000 for stamp in stamps if stamp is not None), default=None)


def _under(counts: Mapping[str, int], prefix: str) -> dict[str, int]:
    return {name.removeprefix(prefix): number for name, number in sorted(counts.items()) if name.startswith(prefix)}
