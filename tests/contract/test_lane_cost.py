"""Check that 10,000 lanes cost no scan: each call does the same work per job with any number of lanes.

MONITOR lists each command that a script runs. The tests compare how often each command uses each sort of key. No
command may read a whole collection.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
import redis

from gaugepost import JobState
from gaugepost.transitions import Dead, Parked
from gaugepost.verdict import Verdict
from support.factories import case
from support.ledger_harness import Bench

JOBS = 6
FEW, MANY = 30, 10_000
WALKS = {"KEYS", "SCAN", "HSCAN", "SSCAN", "ZSCAN", "SORT", "HGETALL", "HVALS", "HKEYS", "SMEMBERS"}
SMALL = {
    *(("HGETALL", name) for name in ("holds", "counts", "workers", "job", "webhooks")),
    *(("LRANGE", name) for name in ("turns", "urgent_turns")),
    *(("HSCAN", name) for name in ("holds", "cold")),  # so many in a call
    ("HKEYS", "cold"),
}
"""What may be read whole: holds, counts, workers, endpoints, sources with work, and one job. No lane adds to them."""
END = "end of the observation"


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    """Connect to a real Redis: the store in memory has no MONITOR."""
    with redis.Redis.from_url(redis_url) as made:
        yield made


def commands(client: redis.Redis, act: Callable[[], object]) -> list[list[str]]:
    """Call `act`, and return each command that Redis ran for it, as a list of words."""
    with client.monitor() as monitor:
        act()
        client.echo(END)
        seen: list[list[str]] = []
        while True:
            command = monitor.next_command()["command"]
            if END in command:
                return seen
            seen.append(command.split(" "))


def sort_of(key: str) -> str:
    return re.sub(r"^gaugepost:\{eu\}:", "", key).split(":")[0]


def cost(seen: list[list[str]]) -> Counter[tuple[str, str]]:
    """Count what was done to keys, by command and sort of key.

    Not the bells, of which there is one for every hundred ready jobs.
    """
    return Counter(
        (words[0].upper(), sort_of(words[1])) for words in seen if len(words) > 1 and "gaugepost:{eu}:" in words[1]
    )


def walks(seen: list[list[str]]) -> list[str]:
    """Find commands that read a collection to its end, unless it is known to be small."""
    return [" ".join(words[:4]) for words in seen if _walks([words[0].upper(), *words[1:]])]


def _walks(words: list[str]) -> bool:
    if len(words) > 1 and (words[0], sort_of(words[1])) in SMALL:
        return False
    if words[0] in {"LRANGE", "ZRANGE"}:
        return words[3] == "-1"
    if words[0] == "ZRANGEBYSCORE":
        return "LIMIT" not in words
    return words[0] in WALKS


class Standing:
    """A ledger with `lanes` lanes, each with one ready job and one that waits behind it."""

    def __init__(self, client: redis.Redis, lanes: int) -> None:
        client.flushall()
        self.client, self.bench = client, Bench(client)
        jobs = [case(number) for number in range(lanes) for _ in range(2)]
        for start in range(0, len(jobs), 500):
            self.bench.put(*jobs[start : start + 500])
        self.seen: dict[str, list[list[str]]] = {}

    def watch(self, name: str, act: Callable[[], object]) -> None:
        self.client.delete("gaugepost.eu", "gaugepost.eu.urgent")  # the same bells are to be rung
        self.seen[name] = commands(self.client, act)

    def live(self) -> dict[str, list[list[str]]]:
        """Make every possible call for some jobs; return the cost of each call."""
        bench, ledger = self.bench, self.bench.ledger
        ids: list[str] = []
        self.watch("enqueue to new lanes", lambda: ids.extend(bench.put(*(case(1_000_000 + n) for n in range(JOBS)))))
        self.watch("enqueue to lanes that stand", lambda: ids.extend(bench.put(*(case(n) for n in range(JOBS)))))
        claimed = list(bench.claim(JOBS))
        self.watch("claim", lambda: claimed.extend(bench.claim(JOBS)))
        self.watch("settle", lambda: [bench.settle(one) for one in claimed[:3]])
        self.watch("park", lambda: [bench.settle(one, Parked(500, "x")) for one in claimed[3:6]])
        self.watch("bury", lambda: [bench.settle(one, Dead(Verdict.INVALID_VALUE)) for one in claimed[6:9]])
        self.watch("promote", bench.tick)
        self.watch("replay", lambda: ledger.replay([one.id for one in claimed[6:9]]))
        self.watch("cancel", lambda: ledger.cancel(ids[:3]))
        self.watch("ended leases", ledger.ended_leases)
        self.watch("status", ledger.summary)
        self.watch("read", lambda: ledger.read(ids))
        assert bench.states(ids[:3]) == [JobState.CANCELLED] * 3
        return self.seen


def test_calls_cost_the_same_with_10000_lanes_as_with_10(client: redis.Redis) -> None:
    few, many = Standing(client, FEW).live(), Standing(client, MANY).live()
    assert {name: cost(seen) for name, seen in many.items()} == {name: cost(seen) for name, seen in few.items()}
    assert {name: walks(seen) for name, seen in many.items() if walks(seen)} == {}
    assert all(cost(seen) for seen in many.values()), "nothing was seen: nothing was proved"


@pytest.mark.parametrize(
    "walk", ["KEYS *", "SMEMBERS gaugepost:{eu}:lanes", "ZRANGE gaugepost:{eu}:waiting 0 -1", "SCAN 0"]
)
def test_the_check_itself_finds_a_walk(client: redis.Redis, walk: str) -> None:
    client.zadd("gaugepost:{eu}:waiting", {"x": 1})
    assert walks(commands(client, lambda: client.execute_command(*walk.split(" "))))
