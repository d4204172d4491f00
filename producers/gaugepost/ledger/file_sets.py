"""File sets: the values of an upload and its parts, and the calls that store them."""

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
    from gaugepost.ledger.producer_calls import ProducerCalls

STAGED_MS = 3_600_000
"""How long staged contents wait for the call that enqueues their set."""
DIGEST_MS = 30 * 86_400_000
"""How long gaugepost refuses the same content for the same family."""
SET_PREFIX = "set-"


def new_set_id() -> str:
    """Return an unguessable id, whose prefix distinguishes a set from a job."""
    return SET_PREFIX + os.urandom(16).hex()


def upload_digest(family: str, sha256: str) -> str:
    """Return the hash by which the ledger finds an earlier upload of the same content and family."""
    return hashlib.sha256(f"{family}:{sha256}".encode()).hexdigest()[:40]


@dataclass(frozen=True, slots=True)
class FileSet:
    """One upload: its file, and the job ids of its parts, in order. It does not contain the state of the parts."""

    id: str
    region: str
    family: str
    filename: str
    sha256: str
    rows: int
    parts: tuple[str, ...]

    def to_json(self) -> str:
        """Return the form that the ledger stores."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> FileSet:
        """Parse the form that the ledger stores."""
        found = json.loads(text)
        return cls(**{**found, "parts": tuple(found["parts"])})


SET_MS = 100 * 86_400_000
"""How long Redis keeps a file set and its undo."""


@dataclass(frozen=True, slots=True)
class Undo:
    """Who undid a file set, and when (Unix ms). `deletions`: upload id → id of the job that deletes it."""

    at: int
    by: str
    deletions: Mapping[int, str]

    def to_json(self) -> str:
        """Return the form that the ledger stores."""
        return json.dumps({"at": self.at, "by": self.by, "deletions": list(self.deletions.items())})

    @classmethod
    def from_json(cls, text: str | bytes) -> Undo:
        """Parse the form that the ledger stores."""
        found = json.loads(text)
        return cls(found["at"], found["by"], dict(found["deletions"]))


def enqueue_set(
    calls: ProducerCalls, files: FileSet, entries: Sequence[Entry], *, lane: str, again: bool, first: bool
) -> Call[str]:
    """Enqueue the staged parts of a set. Return the id of the set that has this content.

    The id of another set means that this one was refused. `again`: do not refuse it. `first`: go before waiting files.
    """
    digest = upload_digest(files.family, files.sha256)
    args: list[Argument] = [*calls.limits, files.id, calls.cipher.encrypt_text(files.to_json()), digest, DIGEST_MS]
    args += ["1" if again else "", lane, "1" if first else ""]
    for entry in entries:
        args += (entry.id, calls.cipher.encrypt_job(entry.job, entry.text))
    return Call("enqueue_set", calls.queues, args, lambda answer: answer.decode())


def unstage(calls: ProducerCalls, ids: Sequence[str]) -> Call[int]:
    """Delete staged contents, except those of an enqueued set."""
    return Call("unstage", calls.queues[:1], ids, int)
