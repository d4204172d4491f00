"""The pulse of a part: a small file that it renews while it works, and that `gaugepost health` feels.

A file rather than a key in Redis: a probe asks about the process beside it, and a Redis that is away or takes no writes
must not make workers look dead, since starting them anew would not help. The part holds a lock on its file as long as
it lives, so what a killed one leaves behind is told from a frozen one's, whatever process has its number by then.
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
    """Return where pulses lie: RUN_DIR, else a folder of this user among the temporary ones."""
    return settings.run_dir or Path(tempfile.gettempdir()) / f"gaugepost-{os.geteuid()}"


def _redis_id(settings: Settings) -> str:
    """Tell the parts of two gaugeposts on one machine apart: by their Redis, without its password."""
    place = settings.redis_url.get_secret_value().rpartition("@")[2] if settings.redis_url else ""
    return hashlib.sha256(place.encode()).hexdigest()[:8]


def _own_folder(directory: Path) -> Path:
    """Make the folder if need be. Raises SettingsError if somebody else could write into it."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if directory.lstat().st_uid != os.geteuid():
        raise SettingsError(f"{directory} belongs to another user: set GAUGEPOST_RUN_DIR to a folder of your own")
    return directory


class Heartbeat:
    """One part's pulse. `name` is `beat`, or `worker-eu`. Renewed by `beat()`, which costs some µs; thread-safe."""

    def __init__(self, settings: Settings, name: str) -> None:
        directory = _own_folder(folder(settings))
        self._path = directory / f"{name}.{_redis_id(settings)}.{os.getpid()}"
        new = self._path.with_name(f"new-{self._path.name}")  # a probe must not find it without its lock
        self._file = os.open(new, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self.renew()
        new.rename(self._path)

    def renew(self) -> None:
        """Tell that the part works."""
        os.pwrite(self._file, b"%020.3f\n" % time.monotonic(), 0)  # no wall clock: those jump

    def remove(self) -> None:
        """Take the file away: the part ends."""
        self._path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class HeartbeatReading:
    """A pulse of a part that lives: its process, and how long ago it was renewed."""

    name: str
    pid: int
    age_s: float


def read_heartbeats(settings: Settings, name: str) -> list[HeartbeatReading]:
    """Return the pulses of the parts of this name that live on this machine; those of dead ones are taken away."""
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
