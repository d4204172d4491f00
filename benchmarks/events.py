"""Measure what Flower's events cost: the same jobs with GAUGEPOST_EVENTS on and off, in turns.

    python -m benchmarks.events [ROUNDS] [JOBS] [LATENCIES]

Each turn has workers and a Redis of its own. It enqueues JOBS in bulk and drains them, then enqueues LATENCIES single
jobs. A listener discards the events, because Flower itself would need a processor of its own. The result is the ratio
of the medians of all rounds. The ratios of single rounds show the noise.
"""

from __future__ import annotations

import contextlib
import math
import socket
import statistics
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from benchmarks import machine, measures
from benchmarks.harness import Stub, Turn
from benchmarks.targets import gaugepost

ROUNDS, JOBS, LATENCIES = 3, 20_000, 200
LARGE = 1000
Figures = dict[str, float]
FIGURES = {
    "rate": "bulk drain, jobs a second",
    "cpu": "bulk drain, CPU of workers and beat, ms a job",
    "p50": "a single job, enqueue to arrival, ms (p50)",
    "alone_cpu": "a single job, CPU of workers and beat, ms",
}


@contextlib.contextmanager
def listener(port: int) -> Iterator[Callable[[], int]]:
    """Subscribe to everything, as Flower does. Yield a function that returns the bytes received so far."""
    received_bytes = 0

    def listen() -> None:
        nonlocal received_bytes
        with contextlib.suppress(OSError):
            while data := connection.recv(1 << 16):
                received_bytes += len(data)

    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"PSUBSCRIBE *\r\n")
        thread = threading.Thread(target=listen)
        thread.start()
        yield lambda: received_bytes
        connection.shutdown(socket.SHUT_RDWR)
        thread.join()


def worker_cpu_ms(turn: Turn) -> float:
    return 1000 * machine.used(turn.pids()["worker"]).cpu_s


def measure(stub: Stub, folder: Path, jobs: int, latencies: int, *, events: bool) -> Figures:
    """Run one turn and return its figures."""
    with Turn(gaugepost(), stub, folder) as turn, listener(turn.redis.port) as received_bytes:
        turn.environment["GAUGEPOST_EVENTS"] = "on" if events else "off"
        turn.warm()
        before = received_bytes()
        drained = measures.drain(turn, "bulk", jobs)
        received = received_bytes() - before
        # Workers always publish heartbeats, so a few bytes come even without events of jobs.
        assert (received > 100 * jobs) == events, f"{received:,} bytes of events for {jobs:,} jobs"
        cpu = worker_cpu_ms(turn)
        alone = measures.latency(turn, latencies)
        return {
            "rate": drained["rate"],
            "cpu": drained["worker_cpu_s"],  # seconds for 1,000 jobs: ms for one
            "p50": statistics.median(alone["latency_ms"]),
            "alone_cpu": (worker_cpu_ms(turn) - cpu) / latencies,
        }


def turns(rounds: int, jobs: int, latencies: int) -> dict[bool, list[Figures]]:
    """Run rounds with and without events, in alternating order."""
    found: dict[bool, list[Figures]] = {True: [], False: []}
    with tempfile.TemporaryDirectory() as folder, Stub(Path(folder)) as stub:
        for n in range(rounds):
            for events in (True, False) if n % 2 else (False, True):
                figures = measure(stub, Path(folder) / f"{n}-{events}", jobs, latencies, events=events)
                found[events].append(figures)
                line = f"round {n + 1}, events {'on' if events else 'off'}: {format_numbers(figures.values())}"
                print(line, file=sys.stderr)
    return found


def format_numbers(numbers: Iterable[float]) -> str:
    return " ".join(f"{number:,.0f}" if number >= LARGE else f"{number:.3g}" for number in numbers)


def ratio(with_: float, without: float) -> float:
    """Return the ratio; nan for a divisor of 0, as a short turn may use less CPU than the kernel measures."""
    return with_ / without if without else math.nan


def print_report(found: dict[bool, list[Figures]]) -> None:
    print(f"events on against off; medians of {len(found[True])} rounds; {machine.about()}")
    for name, about in FIGURES.items():
        on, off = ([figures[name] for figures in found[events]] for events in (True, False))
        with_, without = statistics.median(on), statistics.median(off)
        of_all, of_each = ratio(with_, without), format_numbers(map(ratio, on, off))
        numbers = f"{format_numbers([without])} → {format_numbers([with_])}"
        print(f"  {about}: {numbers}: ratio {of_all:.2f} (rounds: {of_each})")


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    print_report(turns(*given, *(ROUNDS, JOBS, LATENCIES)[len(given) :]))
