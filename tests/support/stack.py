"""Start, kill and inspect the real processes together: Redis, simulator, workers, beat.

Each test that breaks something gets its own stack, in its own folder and on free ports.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path
from typing import Any, Self

from gaugepost import Region
from gaugepost.settings import PREFIX
from gaugepost.testing import Parts
from gaugepost_simulator import Simulator
from support import fork_server
from support.redis_server import RedisServer

__all__ = ["RedisServer", "Stack", "kill"]


class _ForkedSimulator(Simulator):
    """A simulator that is forked: faster."""

    def _started(self) -> subprocess.Popen[str]:
        return fork_server.start_simulator("--host", self._host, "--port", str(self._port))


class Stack(Parts):
    """All real processes that a delivery needs. A setting that is None is not set."""

    def __init__(self, folder: Path, *, redis: RedisServer | None = None, **settings: object) -> None:
        given = {f"{PREFIX}{name.upper()}": value for name, value in settings.items()}
        super().__init__(folder, {name: str(value) for name, value in given.items() if value is not None})
        self._left_out = {name for name, value in given.items() if value is None}
        self.redis = redis or RedisServer(folder)
        self.sim = _ForkedSimulator()

    def __enter__(self) -> Self:
        self.redis.start()
        self.sim.start()
        given = {"REDIS_URL": self.redis.url, "UPLOAD_INTERVAL": "1", "UPLOAD_POLL": "0.5s"}
        ours = {f"{PREFIX}{name}": value for name, value in given.items()}
        # Credentials as they are now: a test may change what the simulator accepts.
        found = self.sim.env() | ours | self.variables
        self.variables = {name: value for name, value in found.items() if name not in self._left_out}
        return super().__enter__()

    def __exit__(self, *exception: object) -> None:
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        super().__exit__(*exception)
        self.redis.stop()
        self.sim.stop()

    def run(self, *command: str) -> subprocess.Popen[bytes]:
        """Start `python` with these arguments in its own process group. Most parts are forked: faster."""
        match command:
            case ("-m", "gaugepost_ops", part, *_) if part in fork_server.PARTS:
                log = self.folder / f"{len(self.processes)}.log"
                self.processes.append(fork_server.start(*command[2:], env=self.env, log=log))
                return self.processes[-1]
            case _:
                return super().run(*command)

    def cli(self, *arguments: str, stdin: str | None = None, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        return fork_server.call(*arguments, env=self.env, folder=self.folder, given=stdin or "", timeout=timeout)

    def counts(self, region: str = "eu") -> dict[str, Any]:
        return self.producer.ledger(Region(region)).summary()

    def undelivered(self) -> str:
        """Return the screens, the first open jobs and the last log lines, to explain why jobs are not delivered."""
        listed = self.cli("jobs", "--limit", "5").stdout
        return "\n".join((self.cli("status").stdout, listed, *self.logs().splitlines()[-40:]))

    def keys(self, region: str = "eu") -> dict[str, int]:
        """Return idempotency key (= job id) → number of its effects at the simulator."""
        seen: dict[str, int] = {}
        for effect in self.sim.effects(region=region):
            key = effect["idempotency_key"]
            seen[key] = seen.get(key, 0) + 1
        return seen


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill -9 a process and its children."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def children(process: subprocess.Popen[bytes]) -> list[int]:
    """List the child processes of a process."""
    text = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(pid) for pid in text.split()]
