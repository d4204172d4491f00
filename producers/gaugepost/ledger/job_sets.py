"""List jobs by a sorted set of their own: files by their contents, parked jobs by the time for which they wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gaugepost.ledger.scripts import our_errors

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from gaugepost.keys import Keys
    from gaugepost.states import JobState

_STEP = 200
_MOST_FILES = 10_000


def files_in(client: Any, keys: Keys, states: Collection[JobState]) -> list[str]:  # noqa: ANN401 - as in `Listing`
    """Return the ids of files in states in which gaugepost still needs the content of a file.

    It looks at the contents, of which a region has far fewer than jobs: at 10,000 at most.
    """
    with our_errors():
        ids = client.zrangebyscore(keys["contents"], "+inf", "+inf", start=0, num=_MOST_FILES)
        pipe = client.pipeline(transaction=False)
        for job_id in ids:
            pipe.hget(keys.of("job:", job_id.decode()), "state")
        found = pipe.execute()
    return [job_id.decode() for job_id, state in zip(ids, found, strict=True) if state and state.decode() in states]


def due_times(client: Any, keys: Keys) -> Iterator[tuple[str, int]]:  # noqa: ANN401
    """Yield the parked jobs that wait for a time, soonest first, each with that time in Unix ms."""
    start = 0
    while True:
        with our_errors():
            rows = client.zrange(keys["parked"], start, start + _STEP - 1, withscores=True)
        yield from ((member.decode(), int(score)) for member, score in rows)
        if len(rows) < _STEP:
            return
        start += _STEP
