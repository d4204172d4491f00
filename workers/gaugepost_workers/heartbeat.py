"""A process' heartbeat: a small file that a worker or beat renews while it works, and that `gaugepost health` reads.

It is a file and not a key in Redis. A probe asks about a process on its own machine, and a Redis that is away must not
make workers look dead: a restart would not help.

The process locks its file while it lives. So a reader can distinguish a killed process (no lock) from a frozen one
(locked, but old), even if another process has the same pid by now.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gaugepost.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gaugepost.settings import Settings


def folder(settings: Settings) -> Path:
    """Return the directory of heartbeat files: RUN_DIR, or else this user's own directory in the temporary one."""
    return settings.run_dir or Path(tempfile.gettempdir()) / f"gaugepost-{os.geteuid()}"


def _redis_id(settings: Settings) -> str:
    """Return eight hex digits for the Redis in use, without its password: two installations can share a machine."""
    place = settings.redis_url.get_secret_value().rpartition("@")[2] if settings.redis_url else ""
    return hashlib.sha256(place.encode()).hexdigest()[:8]


def _own_folder(directory: Path) -> Path:
    """Create the directory if it is missing. Raises SettingsError if another user owns it."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if directory.lstat().st_uid != os.geteuid():
        raise SettingsError(f"{directory} belongs to another user: set GAUGEPOST_RUN_DIR to a folder of your own")
    return directory


class Heartbeat:
    """The heartbeat of this process. Thread-safe.

    `name` is `beat` or `worker-<region>`. Raises SettingsError or OSError if its file cannot be written.
    """

    def __init__(self, settings: Settings, name: str) -> None:
        directory = _own_folder(folder(settings))
        self._path = directory / f"{name}.{_redis_id(settings)}.{os.getpid()}"
        new = self._path.with_name(f"new-{self._path.name}")  # a probe must not find the file before it is locked
        self._file = os.open(new, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self.renew()
        new.rename(self._path)

    def renew(self) -> None:
        """Write the current time into the file. It takes a few µs."""
        os.pwrite(self._file, b"%020.3f\n" % time.monotonic(), 0)  # a wall clock may be set back

    def remove(self) -> None:
        """Delete the file, because the process ends."""
        self._path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class HeartbeatReading:
    """What a heartbeat file says of a living process: its pid, and the seconds since its last renewal."""

    name: str
    pid: int
    age_s: float


def read_heartbeats(settings: Settings, name: str) -> list[HeartbeatReading]:
    """Return the heartbeats of living processes of this name on this machine, newest first.

    Deletes the files that killed processes left.
    """
    return sorted(_readings(folder(settings), f"{name}.{_redis_id(settings)}.*"), key=lambda reading: reading.age_s)


def _readings(directory: Path, pattern: str) -> Iterator[HeartbeatReading]:
    for path in directory.glob(pattern):
        name, _, pid = path.name.split(".")
        try:
            with path.open("rb") as file:
                if _is_dead(file.fileno()):
                    path.unlink(missing_ok=True)
                    continue
                text = file.read()
        except FileNotFoundError:
            continue
        yield HeartbeatReading(name, int(pid), max(0.0, time.monotonic() - float(text or 0)))


def _is_dead(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
