"""`Parts`: start real workers, beat and commands as processes on this machine, for integration tests."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Self

from gaugepost.client import Producer
from gaugepost.settings import PREFIX, Settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_FOREIGN = (PREFIX, "CELERY_", "FLOWER_")  # CELERY_BROKER_URL, for instance, would win over the app's own setting


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
        outside = {name: value for name, value in os.environ.items() if not name.upper().startswith(_FOREIGN)}
        return outside | self.variables

    def run(self, *command: str) -> subprocess.Popen[bytes]:
        """Start `python` with these arguments in its own process group; its output goes to a log file."""
        with (self.folder / f"{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter
                [sys.executable, *command],
                env=self.env,
                cwd=self.folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
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
        for process in self.processes:
            process.terminate()
        deadline = time.monotonic() + grace
        for process in self.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.processes.clear()


def _fields(variables: Mapping[str, str]) -> dict[str, str | dict[str, str]]:
    """Return the variables by the names of the Settings fields; `BACKOFF__NO_CAMPAIGN` becomes a key of `backoff`."""
    fields: dict[str, str | dict[str, str]] = {}
    for name, value in variables.items():
        field, _, part = name.removeprefix(PREFIX).lower().partition("__")
        parts = fields.get(field)
        fields[field] = (parts if isinstance(parts, dict) else {}) | {part: value} if part else value
    return fields
