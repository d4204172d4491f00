"""Start processes of gaugepost on this machine, and end them: for the test kit and for the demo."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from gaugepost.settings import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

SETTINGS = (PREFIX, "CELERY_", "FLOWER_")
"""How the names of settings begin. CELERY_BROKER_URL, for instance, would override the setting of our Celery app."""


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of this process, with `variables` as the only settings."""
    outside = {name: value for name, value in os.environ.items() if not name.upper().startswith(SETTINGS)}
    return outside | dict(variables)


def start(
    arguments: Iterable[str], *, log: Path, variables: Mapping[str, str], ends_with_us: bool = False
) -> subprocess.Popen[bytes]:
    """Start `python` with these arguments in its own process group, in the folder of its log file.

    Ctrl-C reaches only this process. `ends_with_us`: the new process gets a pipe as its stdin, to which nothing is
    written. When the pipe closes, this process has ended.
    """
    with log.open("wb") as output:
        return subprocess.Popen(  # noqa: S603 - our own interpreter
            [sys.executable, *arguments],
            stdin=subprocess.PIPE if ends_with_us else None,
            stdout=output,
            stderr=output,
            env=environment(variables),
            cwd=log.parent,
            start_new_session=True,
        )


def end(processes: Iterable[subprocess.Popen[bytes]], grace: float) -> None:
    """Stop processes by a warm shutdown, which finishes running requests. Kill their groups after `grace` seconds."""
    processes = list(processes)
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + grace
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, deadline - time.monotonic()))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdin is not None:
            process.stdin.close()
