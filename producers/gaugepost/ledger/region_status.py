"""The status of a region: counts, ages, who is present. No call takes longer when the backlog is long."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gaugepost.ledger.explanations import explained
from gaugepost.ledger.holds import Hold, iso
from gaugepost.ledger.listing import ready_lists
from gaugepost.ledger.presence import Presence, add_commands, read_answers
from gaugepost.ledger.scripts import our_errors
from gaugepost.ledger.unreadable import read_number
from gaugepost.states import JobState

if TYPE_CHECKING:
    from collections.abc import Mapping

    import redis

    from gaugepost.keys import Keys

_HEADS = 20


class RegionStatus:
    """The status of one region."""

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._client: Any = client
        self._keys = keys

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
            "scheduled": counts.get("parked:scheduled", 0),
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
        lists = ready_lists(self._client, self._keys, "urgent")[:_HEADS]
        pipe = self._client.pipeline(transaction=False)
        pipe.zrangebyscore(self._keys["again"], "-inf", "(0", start=0, num=1)  # urgent jobs have negative scores
        if not urgent_only:
            lists += ready_lists(self._client, self._keys, "ready")[:_HEADS]
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
