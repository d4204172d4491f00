"""Measure the longest run of each script over a heavy ledger, by Redis' slow log. No script may take 100 ms.

    python -m benchmarks.script_times [SCALE]

SCALE 1 is a million jobs (`heavy.Sizes`), and takes some minutes and 3 GB. While a script runs, Redis serves no other
command of any region. Each script runs many times, called as gaugepost calls it.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis

from benchmarks.heavy import CONFIGURATION, Heavy, Sizes, record
from benchmarks.webhooks import send_webhooks
from gaugepost import CloseLoop, Region, Settings
from gaugepost.ledger import Claimed, Entry, Settlement, WorkerLedger
from gaugepost.ledger.audit import AuditEntry
from gaugepost.ledger.erasing import AT_ONCE, Person
from gaugepost.ledger.job_filter import JobFilter
from gaugepost.ledger.operations import Action
from gaugepost.ledger.pages import PageQuery
from gaugepost.ledger.reference_query import Query
from gaugepost.ledger.scripts import load_scripts
from gaugepost.states import JobState
from gaugepost.together import MAX_CANARY, Together
from gaugepost.transitions import Attempt, Dead, Decision, Delivered, Held, HoldSpec, Parked, Requeued, Unknown
from gaugepost.verdict import Verdict

LIMIT_MS = 100
WORKER = "bench"
_BATCH = 200
_LOGGED_US = 1_000
LABEL = "bench"


@dataclass(frozen=True)
class Times:
    """The runs of one script: how many took 1 ms or more, the longest, and Redis' most CPU time in a call, in ms."""

    slow: int
    longest_ms: float
    cpu_ms: float


class _Watched:
    """Runs a ledger's calls, and records the CPU time of Redis' main thread, which other load does not change."""

    def __init__(self, run: Any, client: redis.Redis) -> None:
        self._run, self._client = run, client
        self.cpu_s: dict[str, float] = {}

    def __call__(self, call: Any) -> Any:
        before = self._cpu_s()
        answer = self._run(call)
        spent = self._cpu_s() - before
        self.cpu_s[call.script] = max(spent, self.cpu_s.get(call.script, 0.0))
        return answer

    def each(self, calls: Iterable[Any]) -> list[Any]:
        """Run calls one after another, as `Runner.each` does."""
        return [one for call in calls for one in self(call)]

    def _cpu_s(self) -> float:
        usage: Any = self._client.info("cpu")
        return float(usage["used_cpu_user_main_thread"]) + float(usage["used_cpu_sys_main_thread"])


class Run:
    """Runs every script over a heavy ledger."""

    def __init__(self, client: redis.Redis, sizes: Sizes) -> None:
        self.client, self.sizes = client, sizes
        settings = Settings.given(redis_url="redis://127.0.0.1", backlog_limit=10_000_000)
        self.eu, self.us = (WorkerLedger(client, region, settings) for region in (Region.EU, Region.US))
        self._runners = []
        for ledger in (self.eu, self.us):
            watched: Any = _Watched(ledger._run, client)  # noqa: SLF001
            webhooks = (ledger.webhooks, ledger.webhook_outbox)
            for part in (ledger, ledger.audit, ledger.operations, ledger.operation_runner, *webhooks):
                part._run = watched  # noqa: SLF001
            self._runners.append(watched)
        self._shas = {client.script_load(text): name for name, text in load_scripts().items()}
        self._tokens = itertools.count()

    def fill(self, client: redis.Redis) -> None:
        Heavy(client, Region.EU).fill(self.sizes)
        Heavy(client, Region.US).fill_large(self.sizes.large)

    def times(self) -> dict[str, Times]:
        """Run every script. Return the times of each."""
        self.client.config_set("slowlog-max-len", 1_000_000)
        self.client.config_set("slowlog-log-slower-than", _LOGGED_US)
        self.client.slowlog_reset()
        for ledger in (self.us, self.eu):
            self._small(ledger)
            self._claims(ledger)
            self._reads(ledger)
            _operators(ledger)
            _operations(ledger)
            self._rescues(ledger)
            _erase(ledger)
            send_webhooks(ledger)
        self._promotes()
        self._sweeps()
        return self._collect()

    def _collect(self) -> dict[str, Times]:
        logged: dict[str, list[float]] = {name: [] for name in load_scripts()}
        for entry in self.client.slowlog_get(-1):
            words = entry["command"].split(b" ", 2)
            if words[0].upper() == b"EVALSHA":
                logged[self._shas[words[1].decode()]].append(entry["duration"] / 1000)
        cpu = {name: max(run.cpu_s.get(name, 0.0) for run in self._runners) * 1000 for name in logged}
        return {name: Times(len(ms), max(ms, default=0.0), cpu[name]) for name, ms in logged.items()}

    def _small(self, ledger: WorkerLedger) -> None:
        """Run the scripts that change one thing."""
        ledger.hold("credentials:api_key", "closed", "bench")
        ledger.resume("credentials:api_key")
        ledger.token("bench", 5_000)
        ledger.put_token("bench", b"x" * 1_000, 60_000, 30_000)
        ledger.drop_token(1)
        ledger.token("bench", 5_000)
        refused = HoldSpec("credentials:oauth", "refused", Verdict.REFUSED_CREDENTIALS, (60_000,), label="credentials")
        ledger.put_token_failure("bench", "{}", refused)
        ledger.resume(refused.scope)
        ledger.note_credential("oauth", "1a2b3c4d", "accepted")
        ledger.open_slot()
        ledger.alive(WORKER, 60, "", {"bench": 1.0})
        for _ in range(100):
            ledger.audit.write(AuditEntry("bench", "cancel", ledger.region, "x" * 1_000))
        ledger.leave(WORKER)
        for call in range(4):
            keys = [f"key-{call}-{n}" for n in range(_BATCH)]
            jobs = [record(ledger.region, source=key[-9:], labels=(LABEL,), idempotency_key=key) for key in keys]
            ledger.enqueue([Entry.of(one) for one in jobs])
        fields = {"region": ledger.region, "status": "open"}
        cases = [CloseLoop.model_validate(fields | {"number_customergauge": 10_000_000 + n}) for n in range(_BATCH)]
        ledger.enqueue([Entry.of(case) for case in cases])

    # Claim, mark, renew, settle

    def _claims(self, ledger: WorkerLedger) -> None:
        """Claim past held jobs, and settle with every transition."""
        for n in range(40):
            jobs = self._claim(ledger)
            ledger.renew(jobs)
            for claimed in jobs[:3]:
                ledger.mark(claimed)
            ledger.settle([self._settlement(n + i, claimed) for i, claimed in enumerate(jobs)])
        self._long_records(ledger)

    def _claim(self, ledger: WorkerLedger) -> list[Claimed]:
        token = f"call-{next(self._tokens)}"
        ledger.claim(WORKER, token, 100)
        return ledger.claim(WORKER, token, 100).jobs  # a repeated call

    @staticmethod
    def _settlement(n: int, claimed: Claimed) -> Settlement:
        hold = HoldSpec(f"configuration:{CONFIGURATION}", "unknown_mapping", Verdict.UNKNOWN_MAPPING, (300_000,))
        ways = (Delivered(), Parked(1, "x"), Requeued(), Dead(Verdict.DUPLICATE), Unknown("x"))
        decision = Decision(Held(hold.scope, "unknown_mapping"), hold=hold) if n % 50 == 0 else Decision(ways[n % 5])
        return Settlement(claimed, decision, (_attempt(1),))

    def _long_records(self, ledger: WorkerLedger) -> None:
        """Settle jobs with records of the greatest length, and a result of many rows."""
        ledger.resume(f"configuration:{CONFIGURATION}")
        jobs = self._claim(ledger)
        for claimed in jobs:
            self.client.hset(ledger.keys.of("job:", claimed.id), "history", _LONG)
        ledger.settle([Settlement(one, Decision(Delivered({"rows": "x" * 20_000})), (_attempt(400),)) for one in jobs])

    # Rescue

    def _rescues(self, ledger: WorkerLedger) -> None:
        for _ in range(30):
            lost = [one.claimed for one in ledger.ended_leases()]
            ledger.settle([Settlement(one, Decision(Requeued())) for one in lost], rescue=True)

    # Operators

    def _reads(self, ledger: WorkerLedger) -> None:
        for state in JobState:
            ledger.read(list(itertools.islice(ledger.ids(state), _BATCH)))
            ledger.page(PageQuery(state), _BATCH)
        by_label = Query.of(None, {"label": LABEL}, None, None)
        ledger.find(by_label, _BATCH, ledger.find(by_label, _BATCH).next)
        ledger.summary()

    # Ticks

    def _promotes(self) -> None:
        _canaries(self.eu)
        for _ in range(3):
            self.eu.promote()
            self._claim(self.eu)
        for n in range(self.sizes.holds):
            if n % 2:
                self.client.hdel(self.eu.keys["holds"], f"configuration:m{n}")
                self.client.sadd(self.eu.keys["releasing"], f"configuration:m{n}")
        for _ in range(3):
            self.client.hset(self.eu.keys["pace"], "due", 1)
            self.client.hset(self.eu.keys["pace"], "released", 1)
            self.eu.promote()
            self.us.promote()
        old = [f"{n:032d}" for n in range(5_000)]
        self.client.rpush(f"{self.eu.keys.prefix}ready", *old)
        self.eu.migrate()
        for _ in range(20):
            self.eu.index()

    def _sweeps(self) -> None:
        for _ in range(3):
            self.eu.sweep()
            self.us.sweep()


def _canaries(ledger: WorkerLedger) -> None:
    """Enqueue batches with canaries of the greatest size, which a tick reviews."""
    for n in range(5):
        together = Together.of(f"batch-{n}", MAX_CANARY, None)
        for _ in range(MAX_CANARY // _BATCH + 1):
            jobs = [together.named(record(ledger.region, source="batch")) for _ in range(_BATCH)]
            ledger.enqueue([Entry.of(one, None, together.canary) for one in jobs])


def _operators(ledger: WorkerLedger) -> None:
    dead = list(itertools.islice(ledger.ids(JobState.DEAD), _BATCH))
    ledger.replay(dead, "bench", "why")
    ledger.keyed("key")
    ledger.cancel(list(itertools.islice(ledger.ids(JobState.WAITING), _BATCH)))
    ledger.cancel(list(itertools.islice(ledger.ids(JobState.QUEUED), _BATCH)))
    ledger.resolve(list(itertools.islice(ledger.ids(JobState.UNKNOWN), _BATCH)), JobState.DEAD)


def _erase(ledger: WorkerLedger) -> None:
    person = Person("joe.doe@example.com")
    ledger._run(ledger.erasure.step(ledger.find(person.query(), AT_ONCE), 0, "bench"))  # noqa: SLF001


def _operations(ledger: WorkerLedger) -> None:
    """Carry out an operation of each action, all of them open at a time."""
    actions = ((Action.REPLAY, JobState.DEAD), (Action.CANCEL, JobState.WAITING), (Action.SETTLE, JobState.UNKNOWN))
    for action, state in actions:
        to = JobState.DEAD if action is Action.SETTLE else None
        found = ledger.operations.start(action, JobFilter(state=state), by="bench", limit=2 * _BATCH, to=to)
        ledger.operations.pause(found.id)
        ledger.operations.resume(found.id)
    ledger.operation_runner.run(WORKER, seconds=10)


_LONG = "".join(
    f'{{"event":"attempt","n":{n},"at":1795305600000,"ms":5,"verdict":"server_error","message":"{"x" * 60}"}}\n'
    for n in range(1, 240)
)


def _attempt(n: int) -> Attempt:
    return Attempt(n=n, at=1_795_305_600_000, ms=5, status=200, verdict=Verdict.SERVER_ERROR, message="x" * 60)


def table(times: dict[str, Times]) -> str:
    """Return the table of the longest runs, the longest first."""
    rows = sorted(times.items(), key=lambda row: -row[1].longest_ms)
    lines = [
        "| script | runs of 1 ms or more | longest, ms | Redis' CPU in the costliest call, ms |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| `{name}.lua` | {found.slow} | {found.longest_ms or '< 1'} | {found.cpu_ms:.1f} |" for name, found in rows
    ]
    return "\n".join(lines)


def main(scale: float) -> None:
    from support.redis_server import RedisServer  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder), "--appendonly", "no").start()
        try:
            with redis.Redis.from_url(server.url, socket_timeout=120) as client:
                run = Run(client, Sizes().scaled(scale))
                run.fill(client)
                print(f"{client.dbsize():,} keys, {client.info('memory')['used_memory'] / 1e9:.1f} GB")
                print(table(run.times()))
        finally:
            server.stop()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)
