"""Bring jobs into the index of `find`: arrivals, and jobs of older versions. Workers do it at their ticks.

Only a process with DATA_KEY can compute the hashes of the jobs of older versions, so the scripts alone cannot do it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gaugepost.ledger.references import stored_hashes
from gaugepost.ledger.scripts import Argument, Call

if TYPE_CHECKING:
    from collections.abc import Callable

    from gaugepost.encryption import Cipher
    from gaugepost.keys import Keys

ARRIVALS_AT_ONCE = 200
MOST_ARRIVALS = 10_000
"""How many arrivals a tick, or a call of `find`, brings into the index: about 0.1 s of Redis' time."""
LOOKED_AT_ONCE = 200
BUCKETS_AT_ONCE = 32
STEPS = 5
"""Steps of a tick that look for jobs of older versions."""


def arrive_call(keys: Keys) -> Call[int]:
    """Bring some arrivals into the index. Return their number; 0 when none is left."""
    return Call("arrive", (keys.prefix,), [ARRIVALS_AT_ONCE], int)


def index_arrivals(keys: Keys, run: Callable[[Call[Any]], Any]) -> int:
    """Bring a bounded number of arrivals into the index; return their number."""
    done = 0
    while done < MOST_ARRIVALS and (some := run(arrive_call(keys))):
        done += some
    return done


def index_older_jobs(keys: Keys, cipher: Cipher, run: Callable[[Call[Any]], Any]) -> int:
    """Index a bounded number of jobs; return their number. A region without such jobs costs one short script."""
    done = 0
    for _ in range(STEPS):
        more, rows = run(Call("unindexed", (keys.prefix,), [LOOKED_AT_ONCE, BUCKETS_AT_ONCE], _read))
        if rows:
            args: list[Argument] = []
            for job_id, job, result in rows:
                args += (job_id, stored_hashes(job, result, cipher))
            done += run(Call("index", (keys.prefix,), args, int))
        if not more:
            break
    return done


def _read(answer: list[Any]) -> tuple[bool, list[tuple[bytes, bytes, bytes]]]:
    rows = zip(answer[1::3], answer[2::3], answer[3::3], strict=True)
    return bool(answer[0]), list(rows)
