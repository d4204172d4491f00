"""Run a producer process of one target, in that target's environment. It prints its report as one line of JSON.

    python -m benchmarks.produce MODULE single|bulk|latency FIRST COUNT

A target's module has `enqueue(number)` and `enqueue_all(numbers)`: both plain functions, or both coroutines and a
`start()`. `latency` waits for each job's arrival at the stub, then for a random gap, so that it does not match the
polling interval of a target.
"""

from __future__ import annotations

import asyncio
import http.client
import importlib
import inspect
import json
import random
import resource
import sys
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from benchmarks import job

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

GAP_S = (0.02, 0.05)


class Stub:
    """Asks the stub when jobs arrived."""

    def __init__(self) -> None:
        url = urlsplit(job.STUB_URL)
        self._connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=60)

    def get(self, target: str) -> bytes:
        self._connection.request("GET", target)
        return self._connection.getresponse().read()

    def arrival(self, nth: int) -> int:
        self.get(f"/wait?count={nth}")
        return int(json.loads(self.get(f"/arrivals?at={nth - 1}"))[0])


def run_plain(module: Any, mode: str, numbers: range) -> dict[str, Any]:
    began = time.monotonic_ns()
    if mode == "bulk":
        module.enqueue_all(numbers)
    elif mode == "single":
        for number in numbers:
            module.enqueue(number)
    else:
        return latency_report(latencies(module, numbers))
    return {"began_ns": began, "ended_ns": time.monotonic_ns()}


def latency_report(found: Iterable[tuple[int, int]]) -> dict[str, Any]:
    """Return when each enqueue began (monotonic ns), and the latency of each job in ms."""
    pairs = list(found)
    return {"begun_ns": [began for began, _ in pairs], "latency_ms": [(at - began) / 1e6 for began, at in pairs]}


def latencies(module: Any, numbers: range) -> Iterator[tuple[int, int]]:
    stub = Stub()
    for nth, number in enumerate(numbers, 1):
        time.sleep(random.uniform(*GAP_S))
        began = time.monotonic_ns()
        module.enqueue(number)
        yield began, stub.arrival(nth)


async def run_coroutine(module: Any, mode: str, numbers: range) -> dict[str, Any]:
    await module.start()
    began = time.monotonic_ns()
    if mode == "bulk":
        await module.enqueue_all(numbers)
    elif mode == "single":
        for number in numbers:
            await module.enqueue(number)
    else:
        return latency_report([one async for one in async_latencies(module, numbers)])
    return {"began_ns": began, "ended_ns": time.monotonic_ns()}


async def async_latencies(module: Any, numbers: range) -> AsyncIterator[tuple[int, int]]:
    stub = Stub()
    for nth, number in enumerate(numbers, 1):
        await asyncio.sleep(random.uniform(*GAP_S))
        began = time.monotonic_ns()
        await module.enqueue(number)
        yield began, await asyncio.to_thread(stub.arrival, nth)


def main(module_name: str, mode: str, first: int, count: int) -> None:
    module = importlib.import_module(module_name)
    numbers = range(first, first + count)
    cpu = time.process_time()
    if inspect.iscoroutinefunction(module.enqueue):
        report = asyncio.run(run_coroutine(module, mode, numbers))
    else:
        report = run_plain(module, mode, numbers)
    report["whole_cpu_s"] = time.process_time()  # includes the start of the process
    report["cpu_s"] = report["whole_cpu_s"] - cpu
    report["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
