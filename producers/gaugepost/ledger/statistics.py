"""What a watcher wants to know of a region beside `status`: ages, lateness, who is alive, Redis' own memory.

Three round trips and at most a few hundred short replies, whatever the backlog: it is asked every few seconds.
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

_ENDS = 20  # so many of each end of a list are looked at
_SCOPES = 50  # held ones; a region with more has another worry
_STATES = {str(state).encode(): state for state in JobState}
_PLACES = ("waiting", "leases", "parked", "unknown")


@dataclass(frozen=True, slots=True)
class Vitals:
    """A region's signs of life. Ages and lateness in seconds, sizes in bytes; None: there is nothing to tell of.

    `oldest`: state → since when its oldest job is enqueued. Exact for what waits; of what is being sent, parked or
    unknown, the ends of the list are looked at. `urgent`: the same of queued urgent jobs. `parked_late` and
    `leases_late`: how long ago the first of them should have been let go, or rescued. `promoted_ago`: since the last
    tick's work was done, `beat_ago`: since beat last ticked (never: infinity). `ticks_waiting`: ticks that no worker
    has read yet. `workers`: processes that claimed lately, `threads`: how many jobs these send at a time. `token_age`:
    since the shared token was fetched, if there is one, and not fetched by a version that did not note it.
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


def read_vitals(client: redis.Redis, keys: Keys) -> Vitals:
    """Look at one region. Raises StoreError."""
    with our_errors():
        return _read(client, keys)


def _read(client: Any, keys: Keys) -> Vitals:  # noqa: ANN401 - redis-py's replies have no types
    pipe = client.pipeline(transaction=False)
    pipe.time()
    pipe.hgetall(keys["workers"])
    pipe.hmget(keys["pace"], "due", "beat_sent")
    pipe.llen(keys.tick_queue)
    pipe.get(keys["content_bytes"])
    pipe.hmget(keys["token"], "generation", "expires", "fetched")
    pipe.zrange(keys["parked"], 0, 0, withscores=True)
    pipe.zrange(keys["leases"], 0, 0, withscores=True)
    pipe.info("memory")
    pipe.lrange(keys["urgent_turns"], 0, _ENDS - 1)
    pipe.lrange(keys["turns"], 0, _ENDS - 1)
    pipe.hkeys(keys["holds"])
    (seconds, micros), workers, (due, beat), ticks, contents, token, parked, leases, memory, *lines = pipe.execute()
    now = seconds * 1000 + micros // 1000
    urgent, oldest = _oldest(client, keys, now, *lines)
    alive = [int(told.partition(b":")[0]) for told in workers.values() if int(told.partition(b":")[2]) > now]
    return Vitals(
        oldest=oldest,
        urgent=urgent,
        parked_late=_late(parked, now),
        leases_late=_late(leases, now),
        promoted_ago=max(0.0, (now - int(due)) / 1000) if due else math.inf,
        # A later time is from before the clock was set back: a beat that ticks notes a new one within a second.
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
    whose, _, at = (fetched or b"").partition(b":")
    there_is = int(expires or 0) > now and whose == generation
    return max(0.0, (now - int(at)) / 1000) if there_is else None


def _late(first: list[tuple[bytes, float]], now: int) -> float:
    return max(0.0, (now - first[0][1]) / 1000) if first else 0.0


def _oldest(client: Any, keys: Keys, now: int, *lists: list[bytes]) -> tuple[float | None, dict[JobState, float]]:  # noqa: ANN401
    """Return the age of the oldest urgent job, and of the oldest of each state; ids of cancelled jobs may lie there."""
    pipe = client.pipeline(transaction=False)
    for job_id in _ends(client, keys, *lists):
        pipe.hmget(keys.of("job:", job_id), "state", "at", "urgent")
    ages: dict[JobState, float] = {}
    urgent: float | None = None
    for told, at, is_urgent in pipe.execute():
        state, stamp = _STATES.get(told), read_number(at)
        if state is None or stamp is None:
            continue
        age = max(0.0, now / 1000 - stamp / 1_000_000)
        ages[state] = max(age, ages.get(state, 0.0))
        if is_urgent and state is JobState.QUEUED:
            urgent = max(age, urgent or 0.0)
    return urgent, ages


def _ends(client: Any, keys: Keys, urgent: list[bytes], ready: list[bytes], scopes: list[bytes]) -> list[str]:  # noqa: ANN401
    """Return the ids at the ends of all lists: the oldest of each state are among them."""
    pipe = client.pipeline(transaction=False)
    for family, sources in (("urgent:", urgent), ("ready:", ready)):
        for source in sources:
            pipe.lrange(keys.of(family, source.decode()), 0, _ENDS - 1)
    pipe.zrange(keys["again"], 0, _ENDS - 1)  # urgent ones first
    pipe.zrangebyscore(keys["again"], 0, "+inf", start=0, num=_ENDS)
    for place in _PLACES:
        pipe.zrange(keys[place], 0, _ENDS - 1)
        pipe.zrange(keys[place], -_ENDS, -1)
    for scope in scopes[:_SCOPES]:
        pipe.zrange(keys.of("held:", scope.decode()), 0, 0)
    return sorted({job_id.decode() for found in pipe.execute() for job_id in found})
