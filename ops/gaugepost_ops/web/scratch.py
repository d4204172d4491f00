"""A folder of this process for files that arrive, and for what is made of them: in the system's folder for such files.

A process that is killed leaves its folder. A later gateway deletes it: a living process holds a lock on its own.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Self

_PREFIX = "gaugepost-gateway-"


class Scratch:
    """The folder. Within `with`, the module tempfile puts all its files there."""

    def __init__(self) -> None:
        self._parent = Path(tempfile.gettempdir())
        self._folder: Path | None = None
        self._lock = -1

    def __enter__(self) -> Self:
        for folder in self._parent.glob(f"{_PREFIX}*"):
            with suppress(OSError):
                _delete_if_left(folder)
        self.ensure()
        return self

    def __exit__(self, *_: object) -> None:
        tempfile.tempdir = str(self._parent)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            os.close(self._lock)

    def ensure(self) -> None:
        """Make the folder, again if somebody has deleted it. Without it, files go where the system puts them."""
        if self._folder is not None and self._folder.exists():
            return
        if self._folder is not None:
            os.close(self._lock)
        self._folder, tempfile.tempdir = None, str(self._parent)
        with suppress(OSError):
            self._folder, self._lock = _locked(self._parent)
            tempfile.tempdir = str(self._folder)


def _locked(parent: Path) -> tuple[Path, int]:
    """Make a folder, and lock it. Another gateway may delete it before it is locked: then make another one."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        try:
            lock = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if folder.stat().st_ino == os.fstat(lock).st_ino:
                return folder, lock
        except (BlockingIOError, FileNotFoundError):
            pass
        except OSError:  # `ensure` tries again each second
            os.close(lock)
            folder.rmdir()
            raise
        os.close(lock)


def _delete_if_left(folder: Path) -> None:
    """Delete a folder unless a living process has it. Raises OSError, also if it belongs to another user."""
    lock = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder)
    finally:
        os.close(lock)
