"""The jobs before and after a job in its lane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gaugepost.ledger.scripts import our_errors
from gaugepost.ledger.unreadable import read_number

if TYPE_CHECKING:
    import redis

    from gaugepost.keys import Keys

AROUND = 3
"""How many jobs on each side."""
_FILES = "files"


def read_neighbours(client: redis.Redis, keys: Keys, job_id: str) -> tuple[list[str], list[str]]:
    """Return the ids of the jobs just before a job in its lane, and just after it, in the order of the lane.

    Both are empty if the job is in no lane, or if its turn in the lane is over. Raises StoreError.
    """
    raw: Any = client
    with our_errors():
        lane, at, enqueued = raw.hmget(keys.of("job:", job_id), "lane", "at", "enqueued")
        if lane is None or read_number(at) is None or (enqueued and read_number(enqueued) is None):  # or damaged
            return [], []
        name, member = lane.decode(), job_id.encode()
        key = keys["files"] + name.removeprefix(_FILES) if name.startswith(_FILES) else keys.of("lane:", name)
        for stamp in dict.fromkeys((enqueued or at, at, b"%d" % (int(at) - 10**16))):
            pipe = raw.pipeline(transaction=False)
            pipe.zrevrangebyscore(key, stamp, "-inf", start=0, num=AROUND + 1)
            pipe.zrangebyscore(key, stamp, "+inf", start=0, num=AROUND + 1)
            before, after = pipe.execute()
            if member in before or member in after:
                return _without(member, before[::-1])[-AROUND:], _without(member, after)[:AROUND]
    return [], []


def _without(member: bytes, found: list[bytes]) -> list[str]:
    return [one.decode() for one in found if one != member]
