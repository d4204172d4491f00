"""The real parts as one thing to start, kill and look at: Redis, the simulator, worker processes, beat.

Each test that breaks something gets a stack of its own; everything lives in its own folder and on free ports.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from gaugepost import Producer, Region, Settings
from gaugepost_simulator import Simulator
from support.redis_server import RedisServer

__all__ = ["RedisServer", "Stack", "kill"]


class Stack:
    """Everything that a delivery needs, for real."""

    def __init__(self, folder: Path, *, redis: RedisServer | None = None, **settings: object) -> None:
        self.folder = folder
        self.redis = redis or RedisServer(folder)
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
