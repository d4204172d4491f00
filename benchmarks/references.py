"""Measure what references cost: memory and enqueue time for each job, and the time of `find` in a full ledger.

    python -m benchmarks.references [JOBS]

JOBS (default 1,000,000) belong to a tenth as many people. Each job has one e-mail address, one idempotency key and one
label. An older checkout measures the same jobs without references: run it there with this file for a comparison.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis

from benchmarks import job
from gaugepost import Producer, Record, Region, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

JOBS_OF_A_PERSON = 10
LABELS = 20
SINGLES = 10_000
FINDS = 200
STEP = 100_000


def person(number: int, people: int) -> str:
    """Return the address of a job's person."""
    return f"p{number % people:09d}@example.net"


def jobs(total: int) -> Iterator[Record]:
    """Yield jobs of 500 bytes of JSON."""
    people = max(1, total // JOBS_OF_A_PERSON)
    for number in range(total):
        payload = job.payload(number)
        payload["record"]["Email"] = person(number, people)
        labels, key = (f"campaign-{number % LABELS}",), f"order-{number}"
        yield Record(region=Region.EU, idempotency_key=key, labels=labels, **payload)


class Meter:
    """Adds up wall time, and CPU time of this process and of Redis' main thread, which other load hardly changes."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self.total = (0.0, 0.0, 0.0)

    def _now(self) -> tuple[float, float, float]:
        cpu: Any = self._client.info("cpu")
        of_redis = float(cpu["used_cpu_user_main_thread"]) + float(cpu["used_cpu_sys_main_thread"])
        return time.perf_counter(), time.process_time(), of_redis

    @contextmanager
    def running(self) -> Iterator[None]:
        before = self._now()
        yield
        spent = zip(self.total, self._now(), before, strict=True)
        wall, own, of_redis = (total + after - one for total, after, one in spent)
        self.total = wall, own, of_redis

    def report(self, name: str, jobs: int) -> dict[str, float]:
        """Return µs for each job."""
        of = ("us", "client_cpu_us", "redis_cpu_us")
        return {f"{name}_{what}": one * 1e6 / jobs for what, one in zip(of, self.total, strict=True)}


def fill(producer: Producer, client: redis.Redis, found: Iterator[Record]) -> dict[str, float]:
    """Enqueue all jobs in bulk, and index them as workers do. Return µs and bytes for each job."""
    before, enqueue, index, number = used(client), Meter(client), Meter(client), 0
    while some := list(islice(found, STEP)):
        with enqueue.running():
            producer.enqueue_many(some)
        with index.running():
            index_all(producer)
        number += len(some)
    report = enqueue.report("bulk", number) | index.report("index", number)
    return report | {"bytes": (used(client) - before) / number}


def index_all(producer: Producer) -> None:
    """Bring all arrivals into the index; nothing in a version without an index."""
    try:
        from gaugepost.ledger.indexing import index_arrivals  # noqa: PLC0415
    except ImportError:
        return
    ledger = producer.ledger(Region.EU)
    while index_arrivals(ledger.keys, ledger._run):  # noqa: SLF001
        pass


def singles(producer: Producer, client: redis.Redis) -> dict[str, float]:
    """Enqueue jobs one by one."""
    meter, some = Meter(client), list(jobs(SINGLES))
    with meter.running():
        for one in some:
            producer.enqueue(one)
    return meter.report("single", SINGLES)


def finds(producer: Any, total: int) -> dict[str, float]:
    """Find people by their address: return ms, median and longest."""
    people = max(1, total // JOBS_OF_A_PERSON)
    times = []
    for n in range(FINDS):
        began = time.perf_counter()
        rows = producer.find(email=person(n * 7919, people))
        times.append((time.perf_counter() - began) * 1e3)
        if len(rows) < min(total, JOBS_OF_A_PERSON):
            raise SystemExit(f"found {len(rows)} jobs")
    return {"find_ms": statistics.median(times), "find_max_ms": max(times)}


def used(client: redis.Redis) -> int:
    client.execute_command("MEMORY", "PURGE")
    return int(client.info("memory")["used_memory"])


def main(total: int) -> None:
    from support.redis_server import RedisServer  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder), "--appendonly", "no").start()
        settings = Settings.given(redis_url=server.url, backlog_limit=10_000_000)
        try:
            with redis.Redis.from_url(server.url) as client, Producer(settings) as producer:
                producer.enqueue_many(jobs(1))
                client.flushall()
                report = singles(producer, client)
                client.flushall()
                report |= fill(producer, client, jobs(total))
                if hasattr(producer, "find"):
                    report |= finds(producer, total)
                print({name: round(value, 2) for name, value in report.items()}, f"{client.dbsize():,} keys")
        finally:
            server.stop()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
