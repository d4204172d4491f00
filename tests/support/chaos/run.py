"""Make one run: start all processes, break them for a while, drain the jobs, and audit."""

from __future__ import annotations

import contextlib
import itertools
import random
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from gaugepost import JobState, Producer, Region, Settings, StoreError
from gaugepost.ledger import Hold
from gaugepost.ledger.job_filter import JobFilter
from gaugepost.ledger.operations import Action, Operation
from gaugepost_simulator import Simulator
from support.chaos.audit import Audit, Totals
from support.chaos.failover import Pair
from support.chaos.faults import Faults
from support.chaos.hosts import Host
from support.chaos.load import Load
from support.chaos.replays import untrue_operations
from support.ledger_truth import look
from support.proxy import Proxy
from support.redis_server import RedisServer
from support.wait import wait_until

UPLOAD_INTERVAL_S = 2.0
_PATIENCE = ",".join(["0.3s"] * 3 + ["1s"] * 30)
"""Back-off after server errors: short waits, and so many that only jobs that always fail give up."""
_SETTINGS = {
    "UPLOAD_INTERVAL": str(UPLOAD_INTERVAL_S),
    "UPLOAD_POLL": "0.3s,0.5s,1s",
    "CONNECT_TIMEOUT": "1",
    "READ_TIMEOUT": "2",
    "LEASE": "5",
    "BACKOFF__SERVER_ERROR": _PATIENCE,
    "BACKOFF__UNRECOGNISED_400": "0.3s",
}
_WRITTEN_THROUGH = ("--appendfsync", "always", "--auto-aof-rewrite-min-size", "4mb")
_KEY = re.compile(rb"(?i)idempotency-key: ([^\r\n]+)")
_PRODUCERS = 2
Report = Callable[[str], None]
_REPLAYED = (
    JobFilter(state=JobState.DEAD, kind="record"),
    JobFilter(state=JobState.PARKED),
    JobFilter(state=JobState.DEAD, kind="personal_link"),
)
"""No dead status changes: replayed, they would not be in the order of their case."""
_REPLAY_RATE = 20
_MANY = 10_000
_OPEN = ("queued", "waiting", "sending", "parked")


@dataclass
class Environment:
    """All processes of a run."""

    folder: Path
    regions: tuple[str, ...]
    redis: RedisServer | Pair
    sim: Simulator
    to_sim: Proxy
    to_redis: Proxy | None
    from_producers: Proxy | None
    workers: list[Host] = field(default_factory=list)
    beats: list[Host] = field(default_factory=list)
    departed: set[str] = field(default_factory=set)
    """Jobs of which bytes left a worker, whatever their outcome."""

    def settings(self, way: Proxy | None = None) -> Settings:
        """Return settings for a process that reaches Redis through this proxy, or directly."""
        given = self.env(way).items()
        return Settings.load(
            **{name.removeprefix("GAUGEPOST_").lower(): v for name, v in given if "BACKOFF" not in name}
        )

    def env(self, way: Proxy | None = None) -> dict[str, str]:
        there = {
            name: value.replace(self.sim.url, f"http://127.0.0.1:{self.to_sim.port}")
            for name, value in self._sim_env.items()
        }
        url = self.redis.url if way is None else f"redis://127.0.0.1:{way.port}/0"
        own = {"REDIS_URL": url, "REGIONS": ",".join(self.regions), **_SETTINGS}
        if isinstance(self.redis, Pair):
            own["WAIT_REPLICAS"] = "1"
        return there | {f"GAUGEPOST_{name}": value for name, value in own.items()}

    def _note(self, request: bytes) -> None:
        self.departed.update(key.decode() for key in _KEY.findall(request))

    def __post_init__(self) -> None:
        self.to_sim.on_request = self._note
        self._sim_env = self.sim.env()
        env = self.env(self.to_redis)
        for region in self.regions:
            for number, processes in ((1, 2), (2, 1)):
                options = ["--region", region, "--concurrency", "8", "--processes", str(processes)]
                command = ["-m", "gaugepost_ops", "worker", *options]
                self.workers.append(Host(self.folder, f"{region}-{number}", env, *command))
        self.beats += [Host(self.folder, f"beat-{number}", env, "-m", "gaugepost_ops", "beat") for number in (1, 2)]


@contextlib.contextmanager
def _environment(folder: Path, regions: tuple[str, ...], *, fail_over: bool) -> Iterator[Environment]:
    """Start Redis, the simulator and the proxies; stop them at the end in any case.

    Redis writes to disk before it answers (`appendfsync always`): `everysec` may lose the last writes.
    """
    knobs: dict[str, object] = {"upload_interval": UPLOAD_INTERVAL_S, "repeat_email_is_duplicate": True}
    knobs |= {"processing_seconds": 0.5, "latency_ms": {"all": 40}}  # so that a kill hits requests in flight
    with contextlib.ExitStack() as stack:
        server: RedisServer | Pair
        server = Pair(folder) if fail_over else RedisServer(folder, *_WRITTEN_THROUGH)
        stack.callback(server.stop)
        server.start()
        sim = stack.enter_context(Simulator(knobs))
        to_sim = stack.enter_context(Proxy(urlsplit(sim.url).port or 0))
        ways: list[Proxy | None] = [None, None]
        if isinstance(server, RedisServer):
            ways = [stack.enter_context(Proxy(server.port)) for _ in range(2)]
        environment = Environment(folder, regions, server, sim, to_sim, *ways)
        for host in (*environment.workers, *environment.beats):
            stack.callback(host.kill)
            host.start()
        yield environment


def chaos(
    folder: Path,
    seed: int,
    *,
    seconds: float,
    rate: float,
    regions: tuple[str, ...] = ("eu", "us", "au"),
    drain_within: float = 120,
    fail_over: bool = False,
    report: Report = lambda _: None,
) -> Totals:
    """Make a run; return its totals. Raises AssertionError if the jobs do not drain.

    `fail_over`: Redis is a master and a replica under sentinels, and its faults are fail-overs.
    """
    dice = random.Random(seed)
    with _environment(folder, regions, fail_over=fail_over) as environment:
        loads = _loads(environment, dice, rate)
        faults = Faults(
            dice.randrange(10**9),
            redis=environment.redis, sim=environment.sim, workers=environment.workers, beats=environment.beats,
            to_sim=environment.to_sim, to_redis=environment.to_redis, from_producers=environment.from_producers,
        )  # fmt: skip
        for load in loads:
            load.start()
        with Operator(environment) as operator:
            _break(environment, faults, loads, operator, seconds, report)
            calm = environment.sim.state()["effects"]
            faults.end()
            operator.rest()
            for load in loads:
                load.finish()
            report(f"faults end; {calm:,} effects of {sum(len(load.accepted) for load in loads):,} jobs")
            _drain(operator, drain_within)
            operations = operator.operations()
        totals = _count(environment, loads, faults, operations)
    totals.effects_under_fire = calm
    totals.done["holds lifted"] = operator.lifted
    totals.done["jobs replayed by operations"] = sum(one.done for one in operations)
    return totals


def _loads(environment: Environment, dice: random.Random, rate: float) -> list[Load]:
    """Return the producers. Together they enqueue `rate` jobs a second, and a file as often as the slot allows."""
    settings = environment.settings(environment.from_producers)
    file_every_s = max(10.0, 4 * UPLOAD_INTERVAL_S * _PRODUCERS)
    return [
        Load(f"producer-{n}", settings, dice.randrange(10**9), rate / _PRODUCERS, file_every_s)
        for n in range(_PRODUCERS)
    ]


class Operator:
    """An operator who lifts every hold soon after it opened, and replays dead and parked jobs by operations.

    A breaker probes after 15 s, 1 min and 5 min: without an operator a run would mostly wait.
    """

    def __init__(self, environment: Environment) -> None:
        self._producer = Producer(environment.settings())
        self._ledgers = [self._producer.ledger(Region(region)) for region in environment.regions]
        self._next = 0.0
        self._filters = itertools.cycle(_REPLAYED)
        self._rests = False
        self.lifted = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._producer.close()

    def act(self) -> None:
        """Lift all holds every other second. Redis may be down meanwhile."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + 2
        with contextlib.suppress(StoreError):
            for ledger in self._ledgers:
                self.lifted += sum(ledger.resume(scope) for scope, one in ledger.holds().items() if not _runs(one))
                if not self._rests:
                    ledger.operations.start(Action.REPLAY, next(self._filters), by="chaos", rate=_REPLAY_RATE)

    def rest(self) -> None:
        """Start no more operations."""
        self._rests = True

    def operations(self) -> list[Operation]:
        """Return the operations of all regions."""
        return [one for ledger in self._ledgers for one in ledger.operations.list(_MANY)]

    def left(self) -> dict[str, dict[str, int]]:
        """Count the jobs of each region that have not ended."""
        counts = {str(ledger.region): ledger.summary() for ledger in self._ledgers}
        return {region: left for region, c in counts.items() if (left := {s: c[s] for s in _OPEN if c[s]})}


def _runs(hold: Hold) -> bool:
    """Return whether a hold waits for a canary that is not decided: it must end by itself."""
    return hold.reason.startswith("canary: the first ")


def _break(
    environment: Environment, faults: Faults, loads: list[Load], operator: Operator, seconds: float, report: Report
) -> None:
    """Cause faults for these seconds, as soon as every region delivers."""
    wait_until(lambda: _delivering(environment) == set(environment.regions), 90, "all regions deliver")
    started = printed = time.monotonic()
    while time.monotonic() < started + seconds:
        faults.act()
        operator.act()
        if time.monotonic() > printed + 10:
            printed = time.monotonic()
            kills = sum(number for name, number in faults.totals.items() if "kills" in name)
            accepted = sum(len(load.accepted) for load in loads)
            effects = environment.sim.state()["effects"]
            report(f"{printed - started:6.0f} s {accepted:8,} jobs {effects:8,} effects {kills:5} kills")
        time.sleep(0.02)


def _delivering(environment: Environment) -> set[str]:
    return {name.partition(".")[0] for name in environment.sim.state()["by"]}


def _drain(operator: Operator, within: float) -> None:
    """Wait until every job has ended."""

    def is_done() -> bool:
        operator.act()
        time.sleep(0.2)
        return not operator.left() and all(one.has_ended for one in operator.operations())

    try:
        wait_until(is_done, within)
    except AssertionError:
        raise AssertionError(f"not drained within {within:.0f} s: {operator.left()}") from None


def _count(environment: Environment, loads: list[Load], faults: Faults, operations: list[Operation]) -> Totals:
    with environment.redis.client() as client:
        client.connection_pool.connection_kwargs["socket_timeout"] = 120
        accepted = {key: sent for load in loads for key, sent in load.accepted.items()}
        truths = {region: look(client, region) for region in environment.regions}
        forgets = isinstance(environment.redis, Pair)
        audit = Audit(accepted, truths, environment.sim.effects(), environment.departed, forgets=forgets)
        totals = audit.count(UPLOAD_INTERVAL_S)
        totals.untruths += untrue_operations(operations, truths)
    totals.second_jobs += [key for load in loads for key in load.second_jobs]
    proxies = {
        "cuts": sum(
            way.cuts
            for way in (environment.to_sim, environment.to_redis, environment.from_producers)
            if way is not None
        ),
        "cut before": environment.to_sim.requests_lost,
        "cut after": environment.to_sim.replies_lost,
        "errors to producers": sum(load.errors for load in loads),
    }
    totals.done = dict(faults.totals) | proxies
    return totals
