"""List the ids of jobs step by step: by state, under a hold, in an upload lane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gaugepost.forecast import Lane
from gaugepost.ledger.scripts import our_errors
from gaugepost.states import JobState

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import redis

    from gaugepost.keys import Keys
    from gaugepost.ledger.holds import Hold

_STEP = 200
Place = tuple[float, str] | int | None
"""Where a page of a list ends: score and member of a sorted set, or the distance from a list's end."""
_LISTS = ("ready:", "urgent:")
"""How the names of lists begin. The others are sorted sets."""
_NEWEST_FIRST = frozenset({"delivered", "dead", "cancelled", "expired", "unknown"})


def ready_lists(client: Any, keys: Keys, name: str) -> list[str]:  # noqa: ANN401 - as in `Listing`
    """Return the names of the sources' lists of ready jobs, in the order of their turns.

    Last come those of jobs that wait for the first answer of their configuration.
    """
    turns = "turns" if name == "ready" else "urgent_turns"
    with our_errors():
        sources = client.lrange(keys[turns], 0, -1)
        cold = [b"~" + configuration for configuration in client.hkeys(keys["cold"])]
    return [f"{name}:{source.decode()}" for source in dict.fromkeys([*sources, *cold])]


class Listing:
    """The lists of one region, read outside of scripts."""

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._client: Any = client
        self._keys = keys

    def ids(self, state: JobState, skip: int = 0) -> Iterator[str]:
        """Yield the ids of all jobs in a state: the next ones to be sent first; of ended jobs the newest first.

        `skip`: leave out so many of the first ones, without reading them.
        """
        names = self.names(state)
        for name, start in self._behind(names, skip) if skip else ((name, 0) for name in names):
            yield from self._walk(name, start)

    def _behind(self, names: Sequence[str], skip: int) -> Iterator[tuple[str, int]]:
        """Yield the lists that have ids behind the first `skip` ones, each with how many of its own to leave out."""
        with our_errors():
            pipe = self._client.pipeline(transaction=False)
            for name in names:
                (pipe.llen if name.startswith(_LISTS) else pipe.zcard)(self._keys.prefix + name)
            sizes = pipe.execute()
        for name, size in zip(names, sizes, strict=True):
            if skip < size:
                yield name, skip
            skip = max(0, skip - size)

    def names(self, state: JobState) -> list[str]:
        """Return the names of the lists and sorted sets that have the jobs of a state."""
        match state:
            case JobState.QUEUED:
                return [*self._ready_lists("urgent"), "again", *self._ready_lists("ready")]
            case JobState.SENDING:
                return ["leases"]
            case JobState.PARKED:
                return ["parked", *self._held(), "scheduled"]
            case _:
                return [str(state)]

    def page(self, name: str, place: Place, size: int) -> tuple[list[str], Place]:
        """Return up to `size` ids of a list behind `place`, and the place of the next page; None if this is the last.

        Changes between two pages may repeat a job that stays in the list, but never omit it: sorted sets are read by
        score and member, and lists from their ends, because ids leave them at their heads.
        """
        key = self._keys.prefix + name
        with our_errors():
            if name.startswith(_LISTS):
                return self._page_of_list(key, place if isinstance(place, int) else 0, size)
            return self._page_of_set(key, place if isinstance(place, tuple) else None, size)

    def _page_of_list(self, key: str, start: int, size: int) -> tuple[list[str], Place]:
        found = self._client.lrange(key, -start - size, -start - 1)
        return [one.decode() for one in found], start + size if len(found) == size else None

    def _page_of_set(self, key: str, after: tuple[float, str] | None, size: int) -> tuple[list[str], Place]:
        start, most = "-inf" if after is None else repr(after[0]), size
        while True:
            rows = self._client.zrangebyscore(key, start, "+inf", start=0, num=most, withscores=True)
            members = [(float(score), member.decode()) for member, score in rows]
            page = [one for one in members if after is None or one > after][:size]
            if page or len(members) < most:
                ids = [member.rpartition(":")[2] for _, member in page]  # of `scheduled`: stamp:id
                return ids, page[-1] if page else None
            most *= 2  # all of them have the score of the last page

    def _ready_lists(self, name: str) -> list[str]:
        return ready_lists(self._client, self._keys, name)

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

    def _walk(self, name: str, start: int = 0) -> Iterator[str]:
        key = self._keys.prefix + name
        while True:
            stop = start + _STEP - 1
            with our_errors():
                if name.startswith(_LISTS):
                    step = self._client.lrange(key, start, stop)
                else:
                    step = self._client.zrange(key, start, stop, desc=name in _NEWEST_FIRST)
            yield from (member.decode().rpartition(":")[2] for member in step)  # of `scheduled`: stamp:id
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
