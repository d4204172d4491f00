"""The real parts as processes on this machine: workers, beat, the command line; with the settings given here alone."""

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

_FOREIGN = (PREFIX, "CELERY_", "FLOWER_")  # Celery takes CELERY_BROKER_URL before any app's own setting


class Parts:
    """Processes with one environment; their logs lie in `folder`. Use it in a `with` statement: they end with it."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self.folder = folder
        self.variables = dict(variables)
        """The settings, by their names in the environment."""
        self.processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        """Read the settings, make a producer."""
        self.settings = Settings.given(**_fields(self.variables))
        self.producer = Producer(self.settings)
        return self

    def __exit__(self, *_: object) -> None:
        """End all of them."""
        self.producer.close()
        self.end()

    @property
    def env(self) -> dict[str, str]:
        """The environment of the processes: these settings, and none of the outside's."""
        outside = {name: value for name, value in os.environ.items() if not name.upper().startswith(_FOREIGN)}
        return outside | self.variables

    def run(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a process, `python` with these arguments, in a group of its own; its log goes to a file."""
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
        """Start a worker of a region. It takes a second or two until it takes jobs."""
        options = ["--region", region, "--concurrency", str(concurrency), "--processes", str(processes)]
        return self.run("-m", "gaugepost_ops", "worker", *options)

    def beat(self) -> subprocess.Popen[bytes]:
        """Start a beat: parked jobs go on at their time. Without one workers begin to see to that after 5 s."""
        return self.run("-m", "gaugepost_ops", "beat")

    def cli(self, *arguments: str, stdin: str | None = None, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run the command line to its end."""
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
        """Return what all processes logged."""
        return "".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log")))

    def end(self, grace: float = 10) -> None:
        """End all processes warmly: what is out is finished. After `grace` seconds by force."""
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
    """Return variables by the names of settings' fields; `BACKOFF__NO_CAMPAIGN` is a part of one."""
    fields: dict[str, str | dict[str, str]] = {}
    for name, value in variables.items():
        field, _, part = name.removeprefix(PREFIX).lower().partition("__")
        parts = fields.get(field)
        fields[field] = (parts if isinstance(parts, dict) else {}) | {part: value} if part else value
    return fields
