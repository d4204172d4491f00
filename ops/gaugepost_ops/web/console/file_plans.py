"""Files that a person has sent to the console and not confirmed yet: at most a few, for some minutes, on disk."""

from __future__ import annotations

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
    """The files of this process that wait."""

    def __init__(self) -> None:
        self._plans: dict[str, FilePlan] = {}

    def add(self, name: str, wanted: NewFile, path: Path, folder: TemporaryDirectory[str]) -> str:
        """Keep a file, and return its token."""
        now = time.monotonic()
        for token, plan in [*self._plans.items()]:
            if plan.until < now or len(self._plans) >= MOST:
                self._plans.pop(token).folder.cleanup()
        token = secrets.token_urlsafe(16)
        self._plans[token] = FilePlan(name, wanted, path, folder, now + KEPT_S)
        return token

    def take(self, token: str, name: str) -> FilePlan | None:
        """Return a file of this person, and forget it; None if it is gone, or belongs to another person."""
        plan = self._plans.get(token)
        if plan is None or plan.name != name or plan.until < time.monotonic():
            return None
        return self._plans.pop(token)
