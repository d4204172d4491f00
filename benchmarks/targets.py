"""The targets of the benchmark: how to run each one, and how to count its settled jobs from outside.

Each target has two worker processes, and the settings that were fastest here without latency. Celery also runs with
threads. All peers are stock installations with hiredis. Only gaugepost has a beat.

Queues are compared on the same HTTP client. Targets with threads, processes or greenlets run on gaugepost's adapter of
requests; for the bulk drain they run again on the adapter that requests brings. Targets on asyncio can use neither,
and have aiohttp, their cheapest client.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

ROOT = Path(__file__).parents[1]
OWN = Path(sys.executable).parent
PEERS = ROOT / ".venv-bench" / "bin"
ARQ = ROOT / ".venv-bench" / "arq" / "bin"

Role = Literal["product", "peer", "floor", "context"]
Client = Literal["direct", "requests", "aiohttp", "urllib3"]
"""`direct` is gaugepost's adapter of requests, `requests` the one that requests brings."""
Settled = Callable[[Any, Callable[[], int]], int]
"""(Redis client, function that returns the jobs arrived at the stub) → number of settled jobs."""


def delivered(client: Any, _: object) -> int:
    """Return gaugepost's own count."""
    return int(client.hget("gaugepost:{eu}:counts", "delivered") or 0)


def statuses(client: Any, _: object) -> int:
    """Return the number of stored statuses, the only keys with a TTL."""
    return int(client.info("keyspace").get("db0", {}).get("expires", 0))


def finished(client: Any, _: object) -> int:
    """Return the number of rq's finished jobs."""
    return int(client.zcard("rq:finished:bench"))


def out_of_queue(client: Any, arrived: Callable[[], int]) -> int:
    """Return the arrived jobs that are not in arq's queue: arq removes a job when it stores the status."""
    return arrived() - int(client.zcard("arq:queue"))


@dataclass(frozen=True)
class Target:
    """One way to do the job. `{redis}` in its commands is the URL of Redis. `jobs` take about four seconds."""

    name: str
    about: str
    role: Role
    module: str
    bin: Path
    worker: tuple[tuple[str, ...], ...]
    jobs: int
    client: Client = "direct"
    settled: Settled = statuses
    drains_only: bool = False
    """Whether it takes part only in the bulk drain."""
    redis_options: tuple[str, ...] = ("--appendonly", "no")
    bulk: bool = True
    """Whether it can enqueue in bulk."""

    @property
    def python(self) -> str:
        return str(self.bin / "python")

    def is_installed(self) -> bool:
        return Path(self.python).exists()

    def commands(self, redis_url: str) -> list[list[str]]:
        """Return the commands of its workers, with programs of its environment."""
        return [
            [str(self.bin / command[0]), *(part.replace("{redis}", redis_url) for part in command[1:])]
            for command in self.worker
        ]

    def environment(self, redis_url: str, stub_url: str) -> dict[str, str]:
        """Return the environment variables of its processes, without gaugepost's settings of the caller."""
        outside = {name: value for name, value in os.environ.items() if not name.startswith("GAUGEPOST_")}
        sources = os.pathsep.join((str(ROOT), str(ROOT / "tasks")))  # tasks: for gaugepost's adapter
        own = {"PYTHONPATH": sources, "BENCH_REDIS_URL": redis_url, "BENCH_STUB_URL": stub_url}
        own["BENCH_CLIENT"] = self.client
        names = ("AUTH_URL", "IMPORTS_URL", "API_URL")
        given = {"REDIS_URL": redis_url, "REGIONS": "eu", "BACKLOG_LIMIT": "2000000", **dict.fromkeys(names, stub_url)}
        given |= {"EU_CLIENT_ID": "bench", "EU_CLIENT_SECRET": "bench", "EU_API_KEY": "bench"}
        if self.role == "product" and self.client == "requests":
            given["HTTP_ADAPTER"] = "urllib3"
        return outside | own | {f"GAUGEPOST_{name}": value for name, value in given.items()}


def gaugepost(concurrency: int = 16, processes: int = 2) -> Target:
    """Return gaugepost with a worker and a beat, as users run it."""
    worker = ("worker", "--region", "eu", "--concurrency", str(concurrency), "--processes", str(processes))
    return Target(
        name="gaugepost",
        about=f"`gaugepost {' '.join(worker)}` and `gaugepost beat`; `enqueue_many`, `enqueue`",
        role="product",
        module="benchmarks.queues.on_gaugepost",
        bin=OWN,
        worker=(("gaugepost", *worker), ("gaugepost", "beat")),
        jobs=20_000,
        settled=delivered,
    )


def _peer(name: str, about: str, *worker: tuple[str, ...], jobs: int, module: str = "", **more: Any) -> Target:
    module = f"benchmarks.queues.{module or f'on_{name}'}"
    return Target(name, about, "peer", module, more.pop("bin", PEERS), worker, jobs, **more)


def _floor(
    name: str, about: str, module: str, *options: str, jobs: int, client: Client = "aiohttp", where: Path = PEERS
) -> Target:
    module = f"benchmarks.queues.{module}"
    worker = (("python", "-m", module, *options),) if options else ()
    return Target(name, about, "floor", module, where, worker, jobs, client)


def _with_requests(one: Target) -> Target:
    """Return the same target on the adapter that requests brings."""
    about = "the same with `GAUGEPOST_HTTP_ADAPTER=urllib3`" if one.role == "product" else "the same, stock requests"
    return replace(one, name=f"{one.name} (requests)", about=about, client="requests", drains_only=True)


def _celery(*options: str) -> tuple[str, ...]:
    return ("celery", "-A", "benchmarks.queues.on_celery", "worker", "--loglevel", "WARNING", *options)


_HUEY = ("python", "-m", "gevent.monkey", str(PEERS / "huey_consumer"), "benchmarks.queues.on_huey.huey")
_RQ = ("rq", "worker-pool", "--quiet", "--url", "{redis}", "--num-workers", "2")
_TASKIQ = ("taskiq", "worker", "benchmarks.queues.on_taskiq:broker", "--workers", "2", "--log-level", "WARNING")


def all_targets(concurrency: int = 16) -> list[Target]:
    """Return all that take part, in the order of their turns."""
    product = gaugepost(concurrency)
    aof = ("--appendonly", "yes", "--appendfsync", "everysec")
    dramatiq = ("dramatiq", "benchmarks.queues.on_dramatiq", "--processes", "2", "--threads", "25")
    huey = (*_HUEY, "-w", "50", "-k", "greenlet", "-q")
    arq = ("arq", "benchmarks.queues.on_arq.Worker")
    with_aof = {"redis_options": aof, "about": "the same, with Redis' append-only file, `everysec`"}
    gaugepost_aof = replace(product, name="gaugepost aof", role="context", drains_only=True, **with_aof)
    in_threads = (
        _peer("dramatiq", "2 processes × 25 threads", dramatiq, jobs=5_000, bulk=False),
        _peer("huey", "2 processes × 50 greenlets; does not acknowledge", huey, huey, jobs=5_000, bulk=False),
        _peer("celery prefork", "`-P prefork -c 2`, otherwise as it comes",
              _celery("-P", "prefork", "-c", "2"), jobs=2_500, module="on_celery"),
        _peer("celery threads", "`-P threads -c 50`, otherwise as it comes",
              _celery("-P", "threads", "-c", "50"), jobs=2_000, module="on_celery"),
        _peer("rq", "2 × SimpleWorker, which does not fork",
              (*_RQ, "--worker-class", "rq.worker.SimpleWorker", "bench"), jobs=2_000, settled=finished),
    )  # fmt: skip
    return [
        product,
        _floor("bare limit", "aiohttp, 2 × 50 tasks; pops and statuses in batches",
               "bare_aiohttp", "2", "50", jobs=20_000),
        _floor("urllib3 loop", "2 × 50 threads: BLPOP, PUT, SET; not durable", "bare_urllib3", "2", "50",
               jobs=10_000, client="urllib3", where=PEERS if PEERS.exists() else OWN),
        _peer("taskiq", "list broker, 2 processes × 50 tasks; does not acknowledge",
              (*_TASKIQ, "--max-async-tasks", "50"), jobs=6_000, client="aiohttp"),
        _peer("arq", "2 processes × 50 tasks", arq, arq, jobs=4_000, client="aiohttp", settled=out_of_queue, bin=ARQ),
        *in_threads,
        _floor("raw LPUSH", "Celery's messages made by hand, pipelines of 1,000", "raw_celery", jobs=0),
        gaugepost_aof,
        *map(_with_requests, (product, *in_threads)),
    ]  # fmt: skip


def at_limit() -> list[Target]:
    """Return the targets with at most 256 jobs in flight, for a slow receiver."""
    return [
        gaugepost(concurrency=128),
        _floor("bare limit", "aiohttp, 2 × 128 tasks", "bare_aiohttp", "2", "128", jobs=20_000),
        _peer("taskiq", "2 processes × 128 tasks", (*_TASKIQ, "--max-async-tasks", "128"),
              jobs=6_000, client="aiohttp"),
    ]  # fmt: skip


SLOTS_AT_LIMIT = 256
