"""What Flower's events cost: the same jobs with GAUGEPOST_EVENTS on and off, in turns.

    python -m benchmarks.events [ROUNDS] [JOBS] [LATENCIES]

Each turn has workers and a Redis of its own: JOBS enqueued in bulk and drained, then LATENCIES jobs that come alone.
One listener takes the events and throws them away: Flower itself would want a processor of its own. What counts are the
medians of all rounds and their ratio; the rounds' own ratios stand beside it, and what lies within them says nothing.
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
    "p50": "a job that comes alone, enqueue to arrival, ms (p50)",
    "alone_cpu": "a job that comes alone, CPU of workers and beat, ms a job",
}


@contextlib.contextmanager
def listener(port: int) -> Iterator[Callable[[], int]]:
    """Listen to all that is published, as Flower does; yields how many bytes came so far."""
    came = 0

    def listen() -> None:
        nonlocal came
        with contextlib.suppress(OSError):
            while data := connection.recv(1 << 16):
                came += len(data)

    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"PSUBSCRIBE *\r\n")
        thread = threading.Thread(target=listen)
        thread.start()
        yield lambda: came
        connection.shutdown(socket.SHUT_RDWR)
        thread.join()


def worker_cpu_ms(turn: Turn) -> float:
    return 1000 * machine.used(turn.pids()["worker"]).cpu_s


def measure(stub: Stub, folder: Path, jobs: int, latencies: int, *, events: bool) -> Figures:
    """Return the figures of one turn."""
    with Turn(gaugepost(), stub, folder) as turn, listener(turn.redis.port) as came:
        turn.environment["GAUGEPOST_EVENTS"] = "on" if events else "off"
        turn.warm()
        before = came()
        drained = measures.drain(turn, "bulk", jobs)
        told = came() - before
        # Workers tell of themselves whether they tell of jobs or not.
        assert (told > 100 * jobs) == events, f"{told:,} bytes of events for {jobs:,} jobs"
        cpu = worker_cpu_ms(turn)
        alone = measures.latency(turn, latencies)
        return {
            "rate": drained["rate"],
            "cpu": drained["worker_cpu_s"],  # seconds for 1,000 jobs: ms for one
            "p50": statistics.median(alone["latency_ms"]),
            "alone_cpu": (worker_cpu_ms(turn) - cpu) / latencies,
        }


def turns(rounds: int, jobs: int, latencies: int) -> dict[bool, list[Figures]]:
    """Take turns, neither always the first."""
    found: dict[bool, list[Figures]] = {True: [], False: []}
    with tempfile.TemporaryDirectory() as folder, Stub(Path(folder)) as stub:
        for n in range(rounds):
            for events in (True, False) if n % 2 else (False, True):
                figures = measure(stub, Path(folder) / f"{n}-{events}", jobs, latencies, events=events)
                found[events].append(figures)
                told = f"round {n + 1}, events {'on' if events else 'off'}: {written(figures.values())}"
                print(told, file=sys.stderr)
    return found


def written(numbers: Iterable[float]) -> str:
    return " ".join(f"{number:,.0f}" if number >= LARGE else f"{number:.3g}" for number in numbers)


def ratio(with_: float, without: float) -> float:
    """Return the ratio, nan of nothing: a short turn may use less CPU than the kernel's clock can tell."""
    return with_ / without if without else math.nan


def tell(found: dict[bool, list[Figures]]) -> None:
    print(f"events on against off; medians of {len(found[True])} rounds; {machine.about()}")
    for name, about in FIGURES.items():
        on, off = ([figures[name] for figures in found[events]] for events in (True, False))
        with_, without = statistics.median(on), statistics.median(off)
        of_all, of_each = ratio(with_, without), written(map(ratio, on, off))
        print(f"  {about}: {written([without])} → {written([with_])}: ratio {of_all:.2f} (rounds: {of_each})")


if __name__ == "__main__":
    given = [int(argument) for argument in sys.argv[1:]]
    tell(turns(*given, *(ROUNDS, JOBS, LATENCIES)[len(given) :]))
