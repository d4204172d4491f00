"""Schedule kills, cuts, bad answers and clock jumps by a seed, a few every couple of seconds."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

from gaugepost_simulator import Simulator
from support.chaos.answer_faults import AnswerFaults, fail_poison
from support.chaos.failover import Pair
from support.chaos.hosts import Host
from support.chaos.process_faults import ProcessFaults
from support.chaos.redis_faults import ConnectionFaults, FailOvers, ServerFaults
from support.chaos.schedule import Schedule, Weights
from support.proxy import Proxy
from support.redis_server import RedisServer

_PAUSE_S = 0.6
"""Between two faults, on average."""


class Faults:
    """Causes one fault after another; `totals` counts them."""

    def __init__(
        self,
        seed: int,
        *,
        redis: RedisServer | Pair,
        sim: Simulator,
        to_sim: Proxy,
        to_redis: Proxy | None,
        from_producers: Proxy | None,
        workers: Sequence[Host],
        beats: Sequence[Host],
    ) -> None:
        self._schedule = schedule = Schedule(seed)
        self._answers = AnswerFaults(schedule, sim, to_sim)
        self._processes = ProcessFaults(schedule, workers, beats)
        self._redis = FailOvers(schedule, redis) if isinstance(redis, Pair) else ServerFaults(schedule, redis)
        self._connections: ConnectionFaults | None = None
        if to_redis is not None and from_producers is not None:
            self._connections = ConnectionFaults(schedule, to_redis, from_producers)
        self._weights = self._all_weights()
        self._next = time.monotonic()
        fail_poison(sim)

    def _all_weights(self) -> Weights:
        """Return the weights of all faults. Their order belongs to what a seed repeats."""
        connections = self._connections.weights() if self._connections is not None else {}
        weights = self._processes.weights() | self._answers.weights() | self._redis.weights()
        return weights | connections | self._processes.clock_weights()

    @property
    def totals(self) -> Counter[str]:
        return self._schedule.totals

    def act(self) -> None:
        """Cause the faults that are due now."""
        self._schedule.run_due()
        if time.monotonic() >= self._next:
            dice = self._schedule.dice
            dice.choices(list(self._weights), list(self._weights.values()))[0]()
            self._next = time.monotonic() + dice.expovariate(1 / _PAUSE_S)

    def end(self) -> None:
        """Stop all faults, and start everything again."""
        self._schedule.end()
        self._answers.calm()
        if self._connections is not None:
            self._connections.calm()
        self._redis.calm()
        self._processes.calm()
