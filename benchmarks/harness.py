"""Run one turn of a target: its Redis, its workers, the stub, and meters on all of them."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from benchmarks import machine
from benchmarks.targets import PEERS, ROOT, Target

sys.path.insert(0, str(ROOT / "tests"))

from support.redis_server import RedisServer, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import redis

POLL_S = 0.02
STOP_S = 10.0
WARM_UP = ((20, 0), (200, 20))
"""(jobs, latency in ms): the first step checks that the target works, the second reaches every process and thread."""


class Failed(Exception):  # noqa: N818 - an outcome that the report lists
    """A target did not do its work. The report lists it, and the other targets continue."""


def until(condition: Callable[[], bool], within_s: float, what: str, pause_s: float = POLL_S) -> None:
    """Wait for a condition. Raises Failed."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(f"not within {within_s:.0f} s: {what}")
        time.sleep(pause_s)


class Stub:
    """The stub process that serves all targets."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)

    def __enter__(self) -> Self:
        python = PEERS / "python"  # it has uvloop
        command = [str(python) if python.exists() else sys.executable, "-m", "benchmarks.stub", str(self.port)]
        self.log = (self._folder / "stub.log").open("wb")
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=self.log, stderr=self.log)
        until(self._answers, 30, "the stub answers")
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self.process.kill()
        self.process.wait()
        self.log.close()

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False

    def _get(self, target: str) -> bytes:
        self._connection.request("GET", target)
        return self._connection.getresponse().read()

    def reset(self, latency_ms: float = 0) -> None:
        self._get(f"/reset?latency_ms={latency_ms}")

    def stats(self) -> dict[str, int]:
        return dict(json.loads(self._get("/stats")))

    def arrivals(self, *places: int) -> list[int]:
        """Return the arrival times of the PUTs with these indexes (from 0), in monotonic ns."""
        return list(json.loads(self._get(f"/arrivals?at={','.join(map(str, places))}")))


class Turn:
    """One turn of a target. `warm` starts its workers; separate producer processes enqueue its jobs."""

    def __init__(self, target: Target, stub: Stub, folder: Path) -> None:
        self.target = target
        self.stub = stub
        self.folder = folder
        self.folder.mkdir(parents=True)
        self.redis = RedisServer(folder, *target.redis_options)
        self.workers: list[subprocess.Popen[bytes]] = []
        self.enqueued = 0
        self.polls = 0
        """Number of commands that the harness itself sent to Redis."""
        self.client: redis.Redis

    def __enter__(self) -> Self:
        self.redis.start()
        self.client = self.redis.client()
        self.environment = self.target.environment(self.redis.url, self.stub.url)
        self.log = (self.folder / "worker.log").open("wb")
        return self

    def __exit__(self, *_: object) -> None:
        processes = machine.tree([worker.pid for worker in self.workers])
        for worker in self.workers:
            worker.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            for worker in self.workers:
                worker.wait(STOP_S)
        for pid in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for worker in self.workers:
            worker.wait()
        self.client.close()
        self.redis.stop()
        self.log.close()

    # Actions

    def start(self) -> None:
        """Start the workers, each command in its own process group."""
        self.workers = [
            subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=self.log, stderr=self.log, start_new_session=True
            )
            for command in self.target.commands(self.redis.url)
        ]

    def warm(self) -> None:
        """Start the workers and run some jobs, so that every process is ready."""
        self.start()
        for jobs, latency_ms in WARM_UP:
            self.stub.reset(latency_ms)
            before = self.settled()
            self.produce("single", jobs)
            self.wait(before + jobs, 60)

    def produce(self, mode: str, count: int, within_s: float = 240) -> dict[str, Any]:
        """Enqueue from a producer process and wait for it. Return its report."""
        return self.result_of(self.start_producer(mode, count), within_s)

    def start_producer(self, mode: str, count: int) -> subprocess.Popen[str]:
        numbers = [
            str(self.enqueued + 1),
            str(count),
        ]  # no number twice in a turn: some targets store statuses by number
        self.enqueued += count
        command = [self.target.python, "-m", "benchmarks.produce", self.target.module, mode, *numbers]
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def result_of(self, producer: subprocess.Popen[str], within_s: float = 240) -> dict[str, Any]:
        """Wait for a producer and return its report. Raises Failed."""
        try:
            out, errors = producer.communicate(timeout=within_s)
        except subprocess.TimeoutExpired:
            producer.kill()
            producer.communicate()
            raise Failed(f"the producer did not end within {within_s:.0f} s") from None
        if producer.returncode:
            raise Failed(f"the producer ended with {producer.returncode}: {errors.strip()[-500:]}")
        return dict(json.loads(out.splitlines()[-1]))

    # Observations

    def settled(self) -> int:
        """Return how many jobs were settled in this turn. Raises Failed if a worker ended."""
        for worker in self.workers:
            if worker.poll() is not None:
                raise Failed(f"a worker ended with {worker.returncode}")
        self.polls += 1
        return self.target.settled(self.client, lambda: self.stub.stats()["arrived"])

    def wait(self, settled: int, within_s: float, pause_s: float = POLL_S) -> None:
        """Wait until `settled` jobs are settled. Raises Failed."""
        until(lambda: self.settled() >= settled, within_s, f"{settled:,} jobs are settled", pause_s)

    def redis_bytes(self) -> int:
        """Return the memory of Redis in bytes."""
        return int(self.client.info("memory")["used_memory"])

    def log_tail(self) -> str:
        """Return the end of the workers' log."""
        log = self.folder / "worker.log"
        return log.read_text(errors="replace").strip()[-300:] if log.exists() else ""

    def pids(self) -> dict[str, list[int]]:
        assert self.redis.process is not None
        workers = machine.tree([worker.pid for worker in self.workers])
        return {"worker": workers, "redis": [self.redis.process.pid], "stub": [self.stub.process.pid]}

    def commands(self) -> int:
        """Return the commands that Redis executed, including those in scripts and those of the harness."""
        return sum(int(one["calls"]) for one in self.client.info("commandstats").values())


class Meter:
    """Measures what a turn's processes, and the rest of the machine, use from its creation until `read`."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._polls, self._commands = turn.polls, turn.commands()
        self._used = {part: machine.used(pids) for part, pids in turn.pids().items()}
        self._own, self._busy, self._began = time.process_time(), machine.busy_s(), time.monotonic()

    def read(self, jobs: int, producer: dict[str, Any]) -> dict[str, float]:
        """Return figures for a thousand jobs. `producer`: the producer's report on its own CPU and memory."""
        wall, busy = time.monotonic() - self._began, machine.busy_s() - self._busy
        own = time.process_time() - self._own
        now = {part: machine.used(pids) for part, pids in self._turn.pids().items()}
        cpu = {part: use.cpu_s - self._used[part].cpu_s for part, use in now.items()}
        others = busy - own - sum(cpu.values()) - producer["whole_cpu_s"]
        cpu["producer"] = producer["cpu_s"]
        figures = {f"{part}_cpu_s": seconds * 1000 / jobs for part, seconds in cpu.items()}
        figures |= {f"{part}_peak_mb": use.peak_mb for part, use in now.items()}
        figures |= {"producer_peak_mb": producer["peak_mb"], "process_peak_mb": now["worker"].peak_process_mb}
        figures["others"] = max(0.0, others) / wall / (os.cpu_count() or 1)
        commands = self._turn.commands() - self._commands - (self._turn.polls - self._polls)
        return figures | {"commands": commands / jobs}


class Monitor:
    """Counts commands of clients by MONITOR. INFO commandstats would include commands inside scripts.

    MONITOR slows Redis, so use it only on a sample that is not timed.
    """

    def __init__(self, turn: Turn) -> None:
        self._own = str(turn.client.client_info()["addr"])
        self._socket = socket.create_connection(("127.0.0.1", turn.redis.port))
        self._thread = threading.Thread(target=self._count, daemon=True)
        self.from_clients: Counter[str] = Counter()

    def __enter__(self) -> Self:
        self._socket.sendall(b"MONITOR\r\n")
        self._stream = self._socket.makefile("rb")
        self._stream.readline()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._stream.close()
        self._socket.close()

    def _count(self) -> None:
        for client, command in self._lines():
            if client not in {"lua", self._own}:
                self.from_clients[command] += 1

    def _lines(self) -> Iterator[tuple[str, str]]:
        with contextlib.suppress(OSError):
            for line in self._stream:
                _, _, client, command, *_ = line.split(b" ", 4)
                yield client.rstrip(b"]").decode(), command.strip().strip(b'"').decode().lower()
