"""The real parts as one thing to start, kill and look at: Redis, the simulator, worker processes, beat.

Each test that breaks something gets a stack of its own; everything lives in its own folder and on free ports.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

import redis

from gaugepost import Producer, Region, Settings
from gaugepost.embedded import server_program
from gaugepost_simulator import Simulator
from support.redis_server import free_port


class RedisServer:
    """A redis-server with its append-only file on, that can be killed and started again on the same port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        program = server_program()
        assert program is not None, "these tests need a redis-server, or the extra 'embedded'"
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", ""]
        self.process = subprocess.Popen(
            [program, *options, "--appendonly", "yes"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with contextlib.suppress(redis.RedisError), self.client() as client:
                client.ping()
                return self
            time.sleep(0.02)
        raise AssertionError("redis-server did not start")

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, socket_timeout=5, socket_connect_timeout=1)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()


class Stack:
    """Everything that a delivery needs, for real."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.folder = folder
        self.redis = RedisServer(folder)
        self.sim = Simulator()
        self._more = {f"GAUGEPOST_{name.upper()}": str(value) for name, value in settings.items()}
        self.processes: list[subprocess.Popen[bytes]] = []
        self._logs: list[Any] = []

    def __enter__(self) -> Self:
        self.redis.start()
        self.sim.start()
        self._credentials = self.sim.env()  # as they are now: a test may change what the simulator accepts
        self.settings = Settings.load(**{name.removeprefix("GAUGEPOST_").lower(): v for name, v in self._own().items()})
        self.producer = Producer(self.settings)
        return self

    def __exit__(self, *_: object) -> None:
        self.producer.close()
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for log in self._logs:
            log.close()
        self.redis.stop()
        self.sim.stop()

    def _own(self) -> dict[str, str]:
        given = {"GAUGEPOST_REDIS_URL": self.redis.url}
        given |= {"GAUGEPOST_UPLOAD_INTERVAL": "1", "GAUGEPOST_UPLOAD_POLL": "0.5s"}
        return self._credentials | given | self._more

    @property
    def env(self) -> dict[str, str]:
        """The environment of the stack's processes: the settings of this stack, and none of the outside's."""
        outside = {name: value for name, value in os.environ.items() if not name.startswith("GAUGEPOST_")}
        return outside | self._own()

    def run(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a process of the stack in a group of its own; its logs go to a file in the stack's folder."""
        log = (self.folder / f"{len(self.processes)}.log").open("wb")
        self._logs.append(log)
        process = subprocess.Popen(
            [sys.executable, *command],
            env=self.env, cwd=self.folder, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        self.processes.append(process)
        return process

    def worker(self, region: str = "eu", concurrency: int = 16, processes: int = 1) -> subprocess.Popen[bytes]:
        options = ["--region", region, "--concurrency", str(concurrency), "--processes", str(processes)]
        return self.run("-m", "gaugepost_workers", "worker", *options)

    def beat(self) -> subprocess.Popen[bytes]:
        return self.run("-m", "gaugepost_workers", "beat")

    def cli(self, *arguments: str, stdin: str | None = None, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run the command line to its end."""
        return subprocess.run(
            [sys.executable, "-m", "gaugepost", *arguments],
            env=self.env, cwd=self.folder, input=stdin, capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip

    def counts(self, region: str = "eu") -> dict[str, Any]:
        return self.producer.ledger(Region(region)).summary()

    def logs(self) -> str:
        return "".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log")))

    def keys(self, region: str = "eu") -> dict[str, int]:
        """Idempotency key (= job id) → how often its effect reached the simulator."""
        seen: dict[str, int] = {}
        for effect in self.sim.effects(region=region):
            key = effect["idempotency_key"]
            seen[key] = seen.get(key, 0) + 1
        return seen


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill -9 a process and all that it started."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
