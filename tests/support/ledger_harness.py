"""Drive one region's ledger in a test. Its clock moves only when the test moves it."""

from __future__ import annotations

import itertools
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gaugepost import Region, Settings
from gaugepost.ledger import Entry, Settlement, WorkerLedger
from gaugepost.ledger.scripts import load_scripts
from gaugepost.ledger.worker_calls import slot_ms
from gaugepost.transitions import Attempt, Decision, Delivered, HoldSpec
from gaugepost.verdict import Verdict
from support.ledger_truth import Truth, look

if TYPE_CHECKING:
    import redis

    from gaugepost.jobs import JobBase
    from gaugepost.ledger import Claimed
    from gaugepost.transitions import Transition

NOON = 1_795_305_600_000  # 2026-11-22 00:00 UTC, ms
LEASE_MS = 90_000
SLOT_MS = slot_ms(600)
HOUR_MS = 3_600_000
MAPPING_PROBES = (300_000, 1_800_000, 7_200_000)


class Clock:
    """The time of Redis as the scripts read it. Only the expiry of keys (idempotency, claims) uses the real clock."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self.ms = NOON
        self.set(NOON)

    def set(self, ms: int) -> None:
        self.ms = ms
        with self._client.pipeline() as pipe:
            pipe.delete("gaugepost:{eu}:test-clock")
            pipe.rpush("gaugepost:{eu}:test-clock", ms // 1000, ms % 1000 * 1000)
            pipe.execute()

    def go(self, ms: int) -> None:
        """Let time pass, as if ticks had read the clock every second."""
        self.step(ms)
        if self._client.hexists("gaugepost:{eu}:pace", "watched"):
            self._client.hset("gaugepost:{eu}:pace", "watched", self.ms)

    def step(self, ms: int) -> None:
        """Step the clock forward or back, without the ticks of that time."""
        self.set(self.ms + ms)


class Bench:
    """A ledger with its clock, and short calls for tests."""

    def __init__(self, client: redis.Redis, **settings: Any) -> None:
        self.client = client
        self.clock = Clock(client)
        self.ledger = WorkerLedger(client, Region.EU, Settings(**settings))
        self.ledger._run._scripts = {
            name: client.register_script(
                text.replace("redis.call('TIME')", "redis.call('LRANGE', KEYS[1] .. 'test-clock', 0, 1)")
            )
            for name, text in load_scripts().items()
        }
        self._tokens = itertools.count()
        self.held: Any = None
        """For tests that pass a claimed job along."""

    # Changing the ledger

    def put(self, *jobs: JobBase) -> list[str]:
        """Enqueue in one call; return the ids."""
        return [accepted.id for accepted in self.ledger.enqueue([Entry.of(job) for job in jobs])]

    def claim(self, limit: int = 100, worker: str = "w1", token: str | None = None, **how: Any) -> list[Claimed]:
        return self.ledger.claim(worker, token or f"call-{next(self._tokens)}", limit, **how).jobs

    def claim_ids(self, limit: int = 100, worker: str = "w1") -> list[str]:
        return [claimed.id for claimed in self.claim(limit, worker)]

    def settle(
        self, claimed: Claimed, transition: Transition | None = None, *, rescue: bool = False, **how: Any
    ) -> bool:
        """Settle one job, by default as delivered.

        `verdict` adds an attempt, `age_ms` is the age of its request in ms, and the rest goes to Decision.
        """
        verdict, age_ms = how.pop("verdict", None), how.pop("age_ms", None)
        attempts = (attempt(claimed, verdict),) if verdict else ()
        began = None if age_ms is None else time.monotonic() - age_ms / 1000
        transition = transition or Delivered()
        if isinstance(transition, Delivered):
            transition = replace(transition, happened_at=getattr(claimed.job, "happened_at", None))
        decision = Decision(transition, **how)
        return self.ledger.settle([Settlement(claimed, decision, attempts, began=began)], rescue=rescue)[0]

    def tick(self, ms: int = 1000) -> int:
        """Let time pass and promote."""
        self.clock.go(ms)
        return self.ledger.promote()

    # Reading the ledger

    def state(self, job_id: str) -> str | None:
        view = self.ledger.read([job_id])[0]
        return None if view is None else str(view.state)

    def states(self, ids: list[str]) -> list[str | None]:
        return [None if view is None else str(view.state) for view in self.ledger.read(ids)]

    def view(self, job_id: str) -> Any:
        return self.ledger.read([job_id])[0]

    def bells(self, queue: str = "gaugepost.eu") -> int:
        return int(self.client.llen(queue))

    def truth(self) -> Truth:
        return look(self.client)


def attempt(claimed: Claimed, verdict: Verdict, **more: Any) -> Attempt:
    status = None if verdict in {Verdict.UNREACHABLE, Verdict.LOST_ANSWER} else 400
    made = {"n": claimed.history.last_n + 1, "at": NOON, "ms": 12, "status": status, "verdict": verdict} | more
    return Attempt(**made)


def mapping_hold(mapping: str, verdict: Verdict = Verdict.UNKNOWN_MAPPING) -> HoldSpec:
    return HoldSpec(f"configuration:{mapping}", verdict.value, verdict, MAPPING_PROBES)


def breaker() -> HoldSpec:
    return HoldSpec("", "breaker: server_error", Verdict.SERVER_ERROR, (15_000, 60_000, 300_000))
