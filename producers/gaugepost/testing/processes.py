"""`Parts`: start real workers, beat and commands as processes on this machine, for integration tests."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Self

from gaugepost import local_processes
from gaugepost.client import Producer
from gaugepost.settings import PREFIX, Settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Parts:
    """Processes with the same settings. The `with` statement makes a producer, and ends all processes.

    `folder`: where the processes write their logs. `variables`: the settings by their names in the environment; the
    processes get no other gaugepost settings.
    """

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self.folder = folder
        self.variables = dict(variables)
        self.processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        self.settings = Settings.given(**_fields(self.variables))
        self.producer = Producer(self.settings)
        return self

    def __exit__(self, *_: object) -> None:
        self.producer.close()
        self.end()

    @property
    def env(self) -> dict[str, str]:
        """The environment of the processes: this process' own, with `variables` as the only gaugepost settings."""
        return local_processes.environment(self.variables)

    def run(self, *command: str) -> subprocess.Popen[bytes]:
        """Start `python` with these arguments in its own process group; its output goes to a log file."""
        log = self.folder / f"{len(self.processes)}.log"
        process = local_processes.start(command, log=log, variables=self.variables)
        self.processes.append(process)
        return process

    def worker(self, region: str = "eu", concurrency: int = 16, processes: int = 1) -> subprocess.Popen[bytes]:
        """Start a worker of a region. It claims its first jobs after one to two seconds."""
        options = ["--region", region, "--concurrency", str(concurrency), "--processes", str(processes)]
        return self.run("-m", "gaugepost_ops", "worker", *options)

    def beat(self) -> subprocess.Popen[bytes]:
        """Start beat, which brings parked jobs back in time. Without beat, workers do so after 5 s."""
        return self.run("-m", "gaugepost_ops", "beat")

    def cli(self, *arguments: str, stdin: str | None = None, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a command of `gaugepost` to its end. Raises subprocess.TimeoutExpired after `timeout` seconds."""
        return subprocess.run(  # noqa: S603 - our own interpreter
            [sys.executable, "-m", "gaugepost_ops", *arguments],
            env=self.env,
            cwd=self.folder,
            input=stdin,
            timeout=timeout,
            capture_output=True,
            text=True,
            check=False,
        )

    def logs(self) -> str:
        """Return the logs of all processes."""
        return "".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log")))

    def end(self, grace: float = 10) -> None:
        """Stop all processes by a warm shutdown, which finishes running requests. Kill them after `grace` seconds."""
        local_processes.end(self.processes, grace)
        self.processes.clear()


def _fields(variables: Mapping[str, str]) -> dict[str, str | dict[str, str]]:
    """Return the variables by the names of the Settings fields; `BACKOFF__NO_CAMPAIGN` becomes a key of `backoff`."""
    fields: dict[str, str | dict[str, str]] = {}
    for name, value in variables.items():
        field, _, part = name.removeprefix(PREFIX).lower().partition("__")
        parts = fields.get(field)
        fields[field] = (parts if isinstance(parts, dict) else {}) | {part: value} if part else value
    return fields
