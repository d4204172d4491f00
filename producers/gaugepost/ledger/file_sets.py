"""File sets: the parts of one upload as one thing. Calls as values, and what they read."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from gaugepost.ledger.scripts import Argument, Call

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gaugepost.ledger.entry import Entry
    from gaugepost.ledger.producer_calls import Intake

STAGED_MS = 3_600_000
"""How long contents lie staged for the call that accepts their set."""
DIGEST_MS = 30 * 86_400_000
"""How long the same content of the same family is refused."""
SET_PREFIX = "set-"


def new_set_id() -> str:
    """Return an unguessable id that tells a set from a job."""
    return SET_PREFIX + os.urandom(16).hex()


def upload_digest(family: str, sha256: str) -> str:
    """Return what tells whether a content was uploaded to a family before."""
    return hashlib.sha256(f"{family}:{sha256}".encode()).hexdigest()[:40]


@dataclass(frozen=True, slots=True)
class FileSet:
    """One upload: what it was made from, and the ids of its parts, in order. Not the state of any of them."""

    id: str
    region: str
    family: str
    filename: str
    sha256: str
    rows: int
    parts: tuple[str, ...]

    def to_json(self) -> str:
        """Write it as the ledger keeps it."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> FileSet:
        """Read it as the ledger keeps it."""
        found = json.loads(text)
        return cls(**{**found, "parts": tuple(found["parts"])})


SET_MS = 100 * 86_400_000
"""How long a set is known, and that it was undone."""


@dataclass(frozen=True, slots=True)
class Undo:
    """Who undid a file set, when (Unix ms), and the job that deletes each of its uploads, by the upload's id."""

    at: int
    by: str
    deletions: Mapping[int, str]

    def to_json(self) -> str:
        """Write it as the ledger keeps it."""
        return json.dumps({"at": self.at, "by": self.by, "deletions": list(self.deletions.items())})

    @classmethod
    def from_json(cls, text: str | bytes) -> Undo:
        """Read it as the ledger keeps it."""
        found = json.loads(text)
        return cls(found["at"], found["by"], dict(found["deletions"]))


def enqueue_set(
    intake: Intake, files: FileSet, entries: Sequence[Entry], *, lane: str, again: bool, first: bool
) -> Call[str]:
    """Accept staged parts; gives the id of the set that has this content (not this one: refused)."""
    digest = upload_digest(files.family, files.sha256)
    args: list[Argument] = [*intake.limits, files.id, intake.cipher.encrypt_text(files.to_json()), digest, DIGEST_MS]
    args += ["1" if again else "", lane, "1" if first else ""]
    for entry in entries:
        args += (entry.id, intake.cipher.encrypt_job(entry.job, entry.text))
    return Call("enqueue_set", intake.queues, args, lambda answer: answer.decode())


def unstage(intake: Intake, ids: Sequence[str]) -> Call[int]:
    """Take staged contents away, but those that a set has accepted."""
    return Call("unstage", intake.queues[:1], ids, int)
