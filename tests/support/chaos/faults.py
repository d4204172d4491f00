"""Schedule kills, cuts, bad answers and clock jumps by a seed, a few every couple of seconds."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from email.utils import formatdate
from typing import Any

from gaugepost_simulator import Simulator
from support.chaos.audit import NO_EFFECT
from support.chaos.failover import Pair
from support.chaos.hosts import Clock, Host
from support.chaos.load import POISON
from support.proxy import Proxy
from support.redis_server import RedisServer

_PAUSE_S = 0.6
"""Between two faults, on average."""
_LONGEST_OUTAGE_S = 2.5
"""Of Redis, or of the way there: less than a lease, as a restart is."""
_FAIL_OVER_S = 6.0
"""Until the old master comes back: the sentinels have named the other one by then."""
_FREEZE_S = (6.0, 11.0)
"""Longer than a lease."""
_UNCLEAR: dict[str, dict[str, Any]] = {
    "500": {"code": 500},
    "503": {"code": 503},
    "408": {"code": 408},
    "520": {"code": 520},
    "page": {"code": 200, "body": "<html><body>Please wait</body></html>"},
    "notice": {"code": 200, "body": 'Notice: Undefined index: id\n{"Data": true}'},
    "null": {"code": 200, "body": "null"},
    "empty": {"code": 200, "body": ""},
}
"""What is answered though the request took effect, and what no one can take for a refusal."""
_CLOCKS = ("+3h", "-5h", "+20s", "-20s", "+0", "+6h x1.1", "-1h x0.9", "+0 x1.1")
_SENDING = ("records", "personal_link", "close_loop", "response", "file", "statistics", "token")


def _is_script(message: bytes) -> bool:
    """Return whether a message is a call of the ledger, and not a worker's wait for a bell."""
    return b"EVALSHA" in message


def fail_poison(sim: Simulator) -> None:
    """Fail every request of the jobs that the load made to fail."""
    sim.fault("status", code=NO_EFFECT, contains=POISON)


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
        self.totals: Counter[str] = Counter()
        self._random = random.Random(seed)
        self._sim = sim
        self._to_sim, self._to_redis, self._from_producers = to_sim, to_redis, from_producers
        self._workers, self._beats = workers, beats
        self._next = time.monotonic()
        self._later: list[tuple[float, Callable[[], object]]] = []
        self._pair: Pair | None = None
        self._redis_is_up = True
        self._frozen: list[Callable[[], object]] = []
        fail_poison(sim)
        self._weights: dict[Callable[[], object], float] = {
            self._kill_a_worker: 7,
            self._kill_a_host: 3,
            self._freeze_a_worker: 3,
            self._kill_a_beat: 2,
            self._lose_requests: 4,
            self._lose_answers: 4,
            self._cut_to_sim: 0.5,
            self._throttle: 2,
            self._answer_badly: 8,
            self._answer_unclearly: 4,
            self._answer_late: 2,
            self._revoke_tokens: 2,
        }
        if isinstance(redis, Pair):
            self._pair = redis
            self._weights |= {self._fail_over: 2}
        else:
            self._redis = redis
            self._weights |= {
                self._kill_redis: 2,
                self._fill_redis: 1.5,
                self._cut_to_redis: 3,
                self._close_way_to_redis: 0.5,
                self._lose_script_calls: 4,
                self._bother_producers: 4,
            }
        if Clock.can_jump():
            self._weights[self._jump] = 4

    def act(self) -> None:
        """Cause the faults that are due now."""
        now = time.monotonic()
        for due, action in [one for one in self._later if one[0] <= now]:
            self._later.remove((due, action))
            action()
        if now >= self._next:
            self._random.choices(list(self._weights), list(self._weights.values()))[0]()
            self._next = time.monotonic() + self._random.expovariate(1 / _PAUSE_S)

    def end(self) -> None:
        """Stop all faults, and start everything again. Clocks stay wrong: they must not matter."""
        for _, action in self._later:
            if action in self._frozen:
                action()
        self._later.clear()
        self._sim.clear_faults()
        fail_poison(self._sim)
        for proxy in (self._to_sim, self._to_redis, self._from_producers):
            if proxy is not None:
                proxy.calm()
        if self._pair is not None:
            self._pair.calm()
        else:
            self._start_redis()
            self._empty_redis()
        for host in (*self._workers, *self._beats):
            host.start()

    def _soon(self, action: Callable[[], object], longest: float) -> None:
        """Call `action` at once, or after a random wait of at most `longest` seconds."""
        wait = self._random.choice([0.0, self._random.uniform(0, longest)])
        self._later.append((time.monotonic() + wait, action))

    # Kills

    def _kill_a_worker(self) -> None:
        self.totals["worker kills"] += self._random.choice(self._workers).kill_one(self._random.randrange(8))

    def _kill_a_host(self) -> None:
        """Stop a whole machine for a while. A process that only supervises is not counted."""
        host = self._random.choice(self._workers)
        killed = host.kill()
        self.totals["worker kills"] += killed - 1 if killed > 1 else killed
        self._soon(host.start, 3)

    def _freeze_a_worker(self) -> None:
        go_on = self._random.choice(self._workers).freeze(self._random.randrange(8))
        self._frozen.append(go_on)
        self._later.append((time.monotonic() + self._random.uniform(*_FREEZE_S), go_on))
        self.totals["worker freezes"] += 1

    def _kill_a_beat(self) -> None:
        beat = self._random.choice(self._beats)
        self.totals["beat kills"] += beat.kill()
        self._soon(beat.start, 3)

    def _kill_redis(self) -> None:
        if self._redis_is_up:
            self._redis_is_up = False
            self._redis.kill()
            self.totals["redis kills"] += 1
            self._soon(self._start_redis, _LONGEST_OUTAGE_S)

    def _start_redis(self) -> None:
        if not self._redis_is_up:
            self._redis.start()
            self._redis_is_up = True

    def _fill_redis(self) -> None:
        """Let Redis refuse writes that take memory, as a full one does, while workers continue."""
        if self._redis_is_up:
            self._limit_memory(1)
            self.totals["redis full"] += 1
            self._soon(self._empty_redis, _LONGEST_OUTAGE_S)

    def _empty_redis(self) -> None:
        if self._redis_is_up:  # else it starts without a limit
            self._limit_memory(0)

    def _limit_memory(self, limit: int) -> None:
        with self._redis.client() as client:
            client.config_set("maxmemory", limit)

    def _fail_over(self) -> None:
        """Kill the master while its replica lags: the replica becomes the master without the last writes."""
        pair = self._pair
        if pair is None or not self._redis_is_up or not pair.is_whole():
            return
        self._redis_is_up = False
        self.totals["fail-overs"] += 1
        pair.lag()
        lag = self._random.uniform(0.3, 1.5)
        self._later.append((time.monotonic() + lag, pair.fail_over))
        self._later.append((time.monotonic() + lag + _FAIL_OVER_S, self._mend_pair))

    def _mend_pair(self) -> None:
        if self._pair is not None:
            self._pair.mend()
            self._redis_is_up = True

    # Connections

    def _lose_requests(self) -> None:
        self._to_sim.lose_requests(self._random.randint(1, 3))

    def _lose_answers(self) -> None:
        self._to_sim.lose_replies(self._random.randint(1, 3))

    def _cut_to_sim(self) -> None:
        self._to_sim.cut()

    def _cut_to_redis(self) -> None:
        self._to_redis.cut()

    def _close_way_to_redis(self) -> None:
        self._to_redis.refuse()
        self._to_redis.cut()
        self._soon(self._to_redis.accept, _LONGEST_OUTAGE_S)

    def _lose_script_calls(self) -> None:
        lose = self._random.choice([self._to_redis.lose_requests, self._to_redis.lose_replies])
        lose(self._random.randint(1, 4), _is_script)

    def _bother_producers(self) -> None:
        proxy = self._from_producers
        match self._random.randrange(4):
            case 0:
                proxy.cut()
            case 1:
                proxy.lose_requests(self._random.randint(1, 6), _is_script)
            case _:
                proxy.lose_replies(self._random.randint(1, 6), _is_script)

    # Answers

    def _fault(self, name: str, fault: str, times: int, **options: Any) -> None:
        self._sim.fault(fault, endpoint=self._random.choice(_SENDING), times=times, **options)
        self.totals[name] += times

    def _throttle(self) -> None:
        """Answer 429 with a Retry-After in seconds, or as a date by the server's clock."""
        code = self._random.choice([429, 429, 503])
        after = self._random.choice(["1", "2", formatdate(time.time() + 2, usegmt=True)])
        self._fault(f"{code} with Retry-After", "status", 2, code=code, headers={"Retry-After": after})

    def _answer_badly(self) -> None:
        times = self._random.randint(1, 3)
        match self._random.randrange(5):
            case 0:
                self._fault("501", "status", times, code=NO_EFFECT)
            case 1:
                self._fault("HTML", "html", times)
            case 2:
                self._fault("broken JSON", "broken_json", times)
            case 3:
                self._fault("short bodies", "short_body", times)
            case _:
                self._fault("504 after the effect", "status", times, code=504, commit=True)

    def _answer_unclearly(self) -> None:
        """Let a request take effect, and answer it unclearly."""
        name = self._random.choice(list(_UNCLEAR))
        self._fault("unclear after the effect", "status", self._random.randint(1, 3), commit=True, **_UNCLEAR[name])

    def _answer_late(self) -> None:
        self._fault("slow answers", self._random.choice(["slow", "trickle"]), 2, seconds=self._random.choice([1, 6]))

    def _revoke_tokens(self) -> None:
        self.totals["revoked tokens"] += self._sim.revoke()

    # Clocks

    def _jump(self) -> None:
        """Step the clock of a host, worker's or beat's."""
        self._random.choice([*self._workers, *self._beats]).clock.set(self._random.choice(_CLOCKS))
        self.totals["clock jumps"] += 1
