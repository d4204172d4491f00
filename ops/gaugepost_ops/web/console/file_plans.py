"""Files that a person has sent to the console and not confirmed yet: at most a few, for some minutes, on disk."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from tempfile import TemporaryDirectory

    from gaugepost_ops.web.files import NewFile

KEPT_S = 900.0
MOST = 4
"""How many files wait at most: each needs its size on disk. A further one replaces the oldest."""


@dataclass(frozen=True, slots=True)
class FilePlan:
    """A file that waits for the confirmation of `name`, until `until` (monotonic seconds)."""

    name: str
    wanted: NewFile
    path: Path
    folder: TemporaryDirectory[str]
    until: float


class FilePlans:
    """The files of this process that wait. Only the event loop's thread may use it.

    A file is deleted when its time is over, also without a further request: it may have personal data.
    """

    def __init__(self, kept_s: float = KEPT_S) -> None:
        self._kept_s = kept_s
        self._plans: dict[str, FilePlan] = {}

    def add(self, name: str, wanted: NewFile, path: Path, folder: TemporaryDirectory[str]) -> str:
        """Keep a file, and return its token."""
        while len(self._plans) >= MOST:
            self._delete(next(iter(self._plans)))
        token = secrets.token_urlsafe(16)
        self._plans[token] = FilePlan(name, wanted, path, folder, time.monotonic() + self._kept_s)
        asyncio.get_running_loop().call_later(self._kept_s, self._delete, token)
        return token

    def _delete(self, token: str) -> None:
        plan = self._plans.pop(token, None)
        if plan is not None:
            plan.folder.cleanup()

    def take(self, token: str, name: str) -> FilePlan | None:
        """Return a file of this person, and forget it; None if it is gone, or belongs to another person."""
        plan = self._plans.get(token)
        if plan is None or plan.name != name or plan.until < time.monotonic():
            return None
        return self._plans.pop(token)

    def give_back(self, token: str, plan: FilePlan) -> None:
        """Keep a file that was taken and could not be queued; only until its time is over."""
        if plan.until < time.monotonic():
            plan.folder.cleanup()
        else:
            self._plans[token] = plan
