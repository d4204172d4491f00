"""Statistics of a region for the metrics exporter: ages, delays, live workers, memory of Redis.

The exporter reads them every few seconds. A read takes three round trips and at most a few hundred short replies, at
any backlog.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gaugepost.ledger.scripts import our_errors
from gaugepost.ledger.unreadable import read_number
from gaugepost.states import JobState

if TYPE_CHECKING:
    from collections.abc import Mapping

    import redis

    from gaugepost.keys import Keys

_ENDS = 20  # ids that are read at each end of a list
_SCOPES = 50  # holds that are read; more than 50 at a time is not expected
_STATES = {str(state).encode(): state for state in JobState}
_SETS = ("waiting", "leases", "parked", "unknown")


@dataclass(frozen=True, slots=True)
class RegionStatistics:
    """The statistics of one region. Ages and delays are in seconds, sizes in bytes; None: no such job or token.

    `oldest`: state → age of its oldest job. Exact for queued and waiting jobs; for others only both ends of the list
    are read. `urgent`: age of the oldest queued urgent job. `parked_late`, `leases_late`: how long the first due job
    has not been released, and the first ended lease not rescued. `promoted_ago`, `beat_ago`: time since the last
    `promote`, and since beat last ticked; infinity: never. `ticks_waiting`: ticks that no worker has read. `workers`:
    processes that claimed within two leases; `threads`: how many jobs they can send at a time. `token_left`,
    `token_age`: time until the shared token ends, and since it was fetched. The age is None if an older version fetched
    it.
    """

    oldest: Mapping[JobState, float]
    urgent: float | None
    parked_late: float
    leases_late: float
    promoted_ago: float
    beat_ago: float
    ticks_waiting: int
    workers: int
    threads: int
    content_bytes: int
    token_generation: int
    token_left: float
    token_age: float | None
    memory: int
    memory_limit: int


def read_statistics(client: redis.Redis, keys: Keys) -> RegionStatistics:
    """Read the statistics of one region. Raises StoreError."""
    with our_errors():
        return _read(client, keys)


def _read(client: Any, keys: Keys) -> RegionStatistics:  # noqa: ANN401 - redis-py's replies have no types
    pipe = client.pipeline(transaction=False)
    pipe.time()
    pipe.hgetall(keys["workers"])
    pipe.hmget(keys["pace"], "due", "beat_sent")
    pipe.llen(keys.tick_queue)
    pipe.get(keys["content_bytes"])
    pipe.hmget(keys["token"], "generation", "expires", "fetched")
    pipe.zrange(keys["parked"], 0, 0, withscores=True)
    pipe.zrange(keys["scheduled"], 0, 0, withscores=True)
    pipe.zrange(keys["leases"], 0, 0, withscores=True)
    pipe.info("memory")
    pipe.lrange(keys["urgent_turns"], 0, _ENDS - 1)
    pipe.lrange(keys["turns"], 0, _ENDS - 1)
    pipe.hkeys(keys["holds"])
    (seconds, micros), workers, (due, beat), ticks, contents, token, parked, scheduled, leases, memory, *lists = (
        pipe.execute()
    )
    now = seconds * 1000 + micros // 1000
    urgent, oldest = _oldest(client, keys, now, *lists)
    alive = [int(entry.partition(b":")[0]) for entry in workers.values() if int(entry.partition(b":")[2]) > now]
    return RegionStatistics(
        oldest=oldest,
        urgent=urgent,
        parked_late=max(_late(parked, now), _late(scheduled, now)),
        leases_late=_late(leases, now),
        promoted_ago=max(0.0, (now - int(due)) / 1000) if due else math.inf,
        # A time in the future: Redis' clock was set back. A live beat writes a new time within a second.
        beat_ago=(now - int(beat)) / 1000 if beat and int(beat) <= now else math.inf,
        ticks_waiting=int(ticks),
        workers=len(alive),
        threads=sum(alive),
        content_bytes=int(contents or 0),
        token_generation=int(token[0] or 0),
        token_left=max(0.0, (int(token[1] or 0) - now) / 1000),
        token_age=_token_age(now, *token),
        memory=int(memory["used_memory"]),
        memory_limit=int(memory.get("maxmemory") or 0),
    )


def _token_age(now: int, generation: bytes | None, expires: bytes | None, fetched: bytes | None) -> float | None:
    fetched_generation, _, at = (fetched or b"").partition(b":")
    is_known = int(expires or 0) > now and fetched_generation == generation
    return max(0.0, (now - int(at)) / 1000) if is_known else None


def _late(first: list[tuple[bytes, float]], now: int) -> float:
    return max(0.0, (now - first[0][1]) / 1000) if first else 0.0


def _oldest(client: Any, keys: Keys, now: int, *lists: list[bytes]) -> tuple[float | None, dict[JobState, float]]:  # noqa: ANN401
    """Return the age of the oldest urgent job, and state → age of its oldest job. Lists may have cancelled jobs."""
    pipe = client.pipeline(transaction=False)
    for job_id in _ends(client, keys, *lists):
        pipe.hmget(keys.of("job:", job_id), "state", "at", "urgent")
    ages: dict[JobState, float] = {}
    urgent: float | None = None
    for text, at, is_urgent in pipe.execute():
        state, stamp = _STATES.get(text), read_number(at)
        if state is None or stamp is None:
            continue
        age = max(0.0, now / 1000 - stamp / 1_000_000)
        ages[state] = max(age, ages.get(state, 0.0))
        if is_urgent and state is JobState.QUEUED:
            urgent = max(age, urgent or 0.0)
    return urgent, ages


def _ends(client: Any, keys: Keys, urgent: list[bytes], ready: list[bytes], scopes: list[bytes]) -> list[str]:  # noqa: ANN401
    """Return the ids at both ends of all lists; the oldest job of each state is usually among them."""
    pipe = client.pipeline(transaction=False)
    for family, sources in (("urgent:", urgent), ("ready:", ready)):
        for source in sources:
            pipe.lrange(keys.of(family, source.decode()), 0, _ENDS - 1)
    pipe.zrange(keys["again"], 0, _ENDS - 1)  # urgent jobs first
    pipe.zrangebyscore(keys["again"], 0, "+inf", start=0, num=_ENDS)
    for name in _SETS:
        pipe.zrange(keys[name], 0, _ENDS - 1)
        pipe.zrange(keys[name], -_ENDS, -1)
    for scope in scopes[:_SCOPES]:
        pipe.zrange(keys.of("held:", scope.decode()), 0, 0)
    return sorted({job_id.decode() for found in pipe.execute() for job_id in found})
