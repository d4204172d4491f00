"""Simulate the machines of a run: each runs one command and its children, dies with them, and has its own clock."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

_LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)

# libfaketime 0.9.10 breaks clock_nanosleep(CLOCK_MONOTONIC), which is Python's time.sleep: it gives EINVAL. Python runs
# this file before anything else can take hold of the broken one; the kernel's select knows nothing of the host's date.
_SLEEP = """
import select, time

def sleep(seconds):
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    select.select((), (), (), seconds)

time.sleep = sleep
"""


class Clock:
    """A host's wall clock, in a file that libfaketime reads. Its monotonic clock is not changed, as on a real host."""

    def __init__(self, folder: Path, name: str) -> None:
        self._file = folder / f"{name}.clock"
        self._site = folder / "site"
        self._site.mkdir(exist_ok=True)
        (self._site / "sitecustomize.py").write_text(_SLEEP)
        self.set("+0")

    @staticmethod
    def can_jump() -> bool:
        return _LIBRARY is not None

    def set(self, offset: str) -> None:
        """Set the clock: `+3h` and `-5h` are relative to the true time, `+3h x1.1` also runs a tenth too fast."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{offset}\n")
        new.replace(self._file)

    def env(self) -> dict[str, str]:
        if _LIBRARY is None:
            return {}
        return {
            # With glibc's allocator. That of Redis asks for the time while it starts, and libfaketime allocates while
            # it starts: each would wait for the other.
            "LD_PRELOAD": f"{_LIBRARY}:libc.so.6",
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "PYTHONPATH": os.pathsep.join([str(self._site), *filter(None, [os.environ.get("PYTHONPATH")])]),
        }


class Host:
    """One machine. All processes of its command carry the host's mark, so that none outlives it."""

    def __init__(self, folder: Path, name: str, env: Mapping[str, str], *command: str) -> None:
        self.name = name
        self.clock = Clock(folder, name)
        self._mark = f"CHAOS_HOST={uuid.uuid4().hex}"
        name_of_mark, _, mark = self._mark.partition("=")
        outside = {key: value for key, value in os.environ.items() if not key.startswith("GAUGEPOST_")}
        self._env = {**outside, **env, **self.clock.env(), name_of_mark: mark}
        self._command = command
        self._folder = folder
        self.log = folder / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, unless it runs."""
        if self._process is not None and self._process.poll() is None:
            return
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, *self._command],
                env=self._env, cwd=self._folder, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def kill(self) -> int:
        """Kill the first process, so that nothing is restarted, and then all others. Return how many."""
        if self._process is None:
            return 0
        killed = int(self._process.poll() is None)
        self._process.kill()
        self._process.wait()
        killed += sum(_kill(pid) for pid in self.processes())
        _remove_shared_memory()
        return killed

    def kill_one(self, which: int) -> int:
        """Kill one worker process. The supervisor lives and restarts it."""
        pids = self.processes()
        if len(pids) > 1 and self._process is not None:
            pids = [pid for pid in pids if pid != self._process.pid]
        return _kill(pids[which % len(pids)]) if pids else 0

    def freeze(self, which: int) -> Callable[[], object]:
        """Stop one worker process, as a paused machine does; return a function that resumes it."""
        pids = [pid for pid in self.processes() if self._process is not None and pid != self._process.pid]
        pids = pids or self.processes()
        pid = pids[which % len(pids)] if pids else 0
        if pid:
            _signal(pid, signal.SIGSTOP)
        return lambda: _signal(pid, signal.SIGCONT) if pid else None

    def processes(self) -> list[int]:
        """List all processes of this host."""
        mark = self._mark.encode()
        return [pid for pid, environment in _environments() if mark in environment]


def _environments() -> list[tuple[int, list[bytes]]]:
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                found.append((int(folder.name), (folder / "environ").read_bytes().split(b"\0")))
    return found


def _kill(pid: int) -> bool:
    return _signal(pid, signal.SIGKILL)


def _signal(pid: int, number: signal.Signals) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False


def _remove_shared_memory() -> None:
    """Remove the files that libfaketime leaves of killed processes of this user."""
    for path in Path("/dev/shm").glob("*faketime_s*"):
        pid = path.name.rpartition("_")[2]
        if pid.isdigit() and not Path("/proc", pid).exists():
            with contextlib.suppress(PermissionError):
                path.unlink(missing_ok=True)
