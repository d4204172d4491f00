"""Faults of Redis: kills and a full memory, or fail-overs of a pair; and of the connections to one Redis."""

from __future__ import annotations

from dataclasses import dataclass

from support.chaos.failover import Pair
from support.chaos.schedule import Schedule, Weights
from support.proxy import Proxy
from support.redis_server import RedisServer

_LONGEST_OUTAGE_S = 2.5
"""Of Redis, or of the way there: less than a lease, as a restart is."""
_FAIL_OVER_S = 6.0
"""Until the old master comes back: the sentinels have named the other one by then."""


def _is_script(message: bytes) -> bool:
    """Return whether a message is a call of the ledger, and not a worker's wait for a bell."""
    return b"EVALSHA" in message


@dataclass
class ServerFaults:
    """Faults of one Redis server."""

    schedule: Schedule
    redis: RedisServer
    is_up: bool = True

    def weights(self) -> Weights:
        return {self.kill: 2, self.fill: 1.5}

    def calm(self) -> None:
        self.start()
        self.empty()

    def kill(self) -> None:
        if self.is_up:
            self.is_up = False
            self.redis.kill()
            self.schedule.totals["redis kills"] += 1
            self.schedule.soon(self.start, _LONGEST_OUTAGE_S)

    def start(self) -> None:
        if not self.is_up:
            self.redis.start()
            self.is_up = True

    def fill(self) -> None:
        """Let Redis refuse writes that take memory, as a full one does, while workers continue."""
        if self.is_up:
            self._limit_memory(1)
            self.schedule.totals["redis full"] += 1
            self.schedule.soon(self.empty, _LONGEST_OUTAGE_S)

    def empty(self) -> None:
        if self.is_up:  # else it starts without a limit
            self._limit_memory(0)

    def _limit_memory(self, limit: int) -> None:
        with self.redis.client() as client:
            client.config_set("maxmemory", limit)


@dataclass
class FailOvers:
    """Fail-overs of a master and its replica under sentinels."""

    schedule: Schedule
    pair: Pair
    is_mended: bool = True

    def weights(self) -> Weights:
        return {self.fail_over: 2}

    def calm(self) -> None:
        self.pair.calm()

    def fail_over(self) -> None:
        """Kill the master while its replica lags: the replica becomes the master without the last writes."""
        if not self.is_mended or not self.pair.is_whole():
            return
        self.is_mended = False
        self.schedule.totals["fail-overs"] += 1
        self.pair.lag()
        lag_s = self.schedule.dice.uniform(0.3, 1.5)
        self.schedule.later(lag_s, self.pair.fail_over)
        self.schedule.later(lag_s + _FAIL_OVER_S, self._mend)

    def _mend(self) -> None:
        self.pair.mend()
        self.is_mended = True


@dataclass(frozen=True)
class ConnectionFaults:
    """Faults of the connections to Redis, of workers and of producers."""

    schedule: Schedule
    to_redis: Proxy
    from_producers: Proxy

    def weights(self) -> Weights:
        return {self.cut: 3, self.close_way: 0.5, self.lose_script_calls: 4, self.bother_producers: 4}

    def calm(self) -> None:
        self.to_redis.calm()
        self.from_producers.calm()

    def cut(self) -> None:
        self.to_redis.cut()

    def close_way(self) -> None:
        self.to_redis.refuse()
        self.to_redis.cut()
        self.schedule.soon(self.to_redis.accept, _LONGEST_OUTAGE_S)

    def lose_script_calls(self) -> None:
        dice = self.schedule.dice
        lose = dice.choice([self.to_redis.lose_requests, self.to_redis.lose_replies])
        lose(dice.randint(1, 4), _is_script)

    def bother_producers(self) -> None:
        dice, proxy = self.schedule.dice, self.from_producers
        match dice.randrange(4):
            case 0:
                proxy.cut()
            case 1:
                proxy.lose_requests(dice.randint(1, 6), _is_script)
            case _:
                proxy.lose_replies(dice.randint(1, 6), _is_script)
