"""Measure the audit trail with 1,000,000 entries of a year: memory, pages at any depth, writes, and `gaugepost audit`.

    python -m benchmarks.audit_trail [ENTRIES]

docs/audit.md shows a run.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis

from gaugepost import Region, Settings
from gaugepost.ledger import Ledger
from gaugepost.ledger.audit import PAGE, AuditEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEY = "gaugepost:{eu}:audit"
DAYS = 360
DAY_MS = 86_400_000
ENTRY = AuditEntry(
    actor="ann.operator@ops-host-1",
    action="replay",
    region="eu",
    target="state=dead kind=record verdict=timeout",
    count=1_204,
    reason="the outage of CustomerGauge is over",
)
DEPTHS = (0.0, 0.1, 0.5, 0.99)
CALLS = 200
_STEP = 20_000
_FILL = """
for n = ARGV[1], ARGV[2] do
  redis.call('XADD', KEYS[1], string.format('%.0f-0', ARGV[3] + n * ARGV[4]), unpack(ARGV, 5))
end
"""


def step_ms(number: int) -> int:
    """Return the time between two entries, if this number of entries is spread over the days."""
    return DAYS * DAY_MS // number


def fill(client: redis.Redis, number: int) -> None:
    """Add entries of past days. Redis makes them itself: a client would take minutes."""
    now: Any = client.time()
    first_ms = now[0] * 1000 - DAYS * DAY_MS
    fields = ["mark", "0123456789ab", *(part for pair in ENTRY.fields().items() for part in pair)]
    for start in range(0, number, _STEP):
        end = min(start + _STEP, number) - 1
        client.eval(_FILL, 1, KEY, start, end, first_ms, step_ms(number), *fields)


def ledger(client: redis.Redis, **settings: Any) -> Ledger:
    """Return the ledger whose trail is filled."""
    return Ledger(client, Region.EU, Settings.given(redis_url="redis://127.0.0.1", **settings))


def timed(call: Callable[[], object]) -> str:
    """Return the times of 200 calls."""
    times = []
    for _ in range(CALLS):
        began = time.perf_counter()
        call()
        times.append((time.perf_counter() - began) * 1e3)
    return f"{statistics.median(times):.2f} ms, longest {max(times):.2f} ms"


def pages(client: redis.Redis, number: int) -> Iterator[str]:
    """Read a page at each depth."""
    trail = ledger(client).audit
    newest = trail.read(limit=1)[0].at
    for depth in DEPTHS:
        before = f"{newest - int(depth * number) * step_ms(number)}-0"
        yield f"page of {PAGE:,} entries below {depth:.0%}: {timed(lambda before=before: trail.read(before=before))}"


def redis_us(client: redis.Redis, call: Callable[[], object]) -> str:
    """Return the time of a script in Redis itself, for 200 calls."""
    client.config_resetstat()
    for _ in range(CALLS):
        call()
    stats: Any = client.info("commandstats")
    return f"{stats['cmdstat_evalsha']['usec'] / CALLS:.0f} µs of Redis"


def command(url: str, *options: str) -> str:
    """Run `gaugepost audit`. Return its time and the most memory of any command until now."""
    environment = {"PATH": os.environ["PATH"], "GAUGEPOST_REDIS_URL": url, "GAUGEPOST_REGIONS": "eu"}
    with tempfile.TemporaryFile("w+") as out:  # not in memory: a new process counts the memory of this one as its own
        began = time.perf_counter()
        program = [sys.executable, "-m", "gaugepost_ops", "audit", "--json", *options]
        done = subprocess.run(program, env=environment, stdout=out, stderr=subprocess.PIPE, text=True, check=True)
        took, memory = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        out.seek(0)
        rows = sum(1 for _ in out)
    return f"audit {' '.join(options)}: {rows:,} rows in {took:.2f} s, at most {memory:.0f} MB  {done.stderr.strip()}"


def run(client: redis.Redis, url: str, number: int) -> Iterator[str]:
    """Measure everything, one after the other."""
    fill(client, number)
    yield f"{number:,} entries of {DAYS} days: {client.memory_usage(KEY, samples=0) / number:.0f} bytes each"
    yield from pages(client, number)
    trail = ledger(client).audit
    yield f"write: {timed(lambda: trail.write(ENTRY))}; {redis_us(client, lambda: trail.write(ENTRY))}"
    for options in ((), ("--actor", "nobody"), ("--limit", "100000"), ("--all", "--actor", "nobody")):
        yield command(url, *options)
    shorter = ledger(client, retention_audit=30 * 86_400).audit
    yield f"write, {CALLS} of which delete eleven months: {redis_us(client, lambda: shorter.write(ENTRY))}"
    kept = trail.size()
    yield f"with a retention of 30 days: {kept:,} entries, {client.memory_usage(KEY, samples=0) / kept:.0f} bytes each"


def main(number: int) -> None:
    """Measure on a Redis of its own."""
    from support.redis_server import RedisServer  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        server = RedisServer(Path(folder), "--appendonly", "no").start()
        try:
            with redis.Redis.from_url(server.url, socket_timeout=60) as client:
                for line in run(client, server.url, number):
                    print(line, flush=True)
        finally:
            server.stop()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
