"""File sets: an upload, its parts, who undid it; and where the ledger stores them."""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from gaugepost.errors import DataSealed
from gaugepost.files.limits import PART_BYTES
from gaugepost.ledger.entry import ledger_facts
from gaugepost.ledger.scripts import Argument, Call, Runner, our_errors

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import redis

    from gaugepost.ledger.entry import Entry
    from gaugepost.ledger.key_prefix import CurrentKeys
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


class FileSets:
    """The file sets of one region."""

    def __init__(self, client: redis.Redis, run: Runner, calls: ProducerCalls, keys: CurrentKeys) -> None:
        self._client: Any = client
        self._run = run
        self._calls = calls
        self._keys = keys

    def stage(self, job_id: str, content: bytes) -> None:
        """Store a part's content for an hour, until the call that enqueues its set."""
        packed = self._calls.cipher.encrypt_content(zlib.compress(content))
        with our_errors():
            self._client.set(self._key("content:", job_id), packed, px=STAGED_MS)

    def unstage(self, ids: Sequence[str]) -> None:
        """Delete staged contents of a set that was not enqueued. Contents of an enqueued set stay."""
        self._run(Call("unstage", self._calls.queues[:1], ids, int))

    def enqueue(self, files: FileSet, entries: Sequence[Entry], *, again: bool, first: bool) -> str:
        """Enqueue all staged parts of an upload, or none. Return the id of the set that has this content.

        The id of another set means that this one was refused: that set has the same content and family.
        `again`: do not refuse it. `first`: go before all waiting files. Raises BacklogFull, StoreFull.
        """
        calls, lane = self._calls, self._calls.lane(entries[0].job)
        digest = upload_digest(files.family, files.sha256)
        args: list[Argument] = [*calls.limits, files.id, calls.cipher.encrypt_text(files.to_json()), digest, DIGEST_MS]
        args += ["1" if again else "", lane, "1" if first else "", ledger_facts(entries[0].job, lane).get("due", "")]
        args.append(entries[0].job.batch or "")
        for entry in entries:
            args += (entry.id, calls.cipher.encrypt_job(entry.job, entry.text), entry.references(calls.cipher))
        call: Call[str] = Call("enqueue_set", calls.queues, args, lambda answer: answer.decode())
        return self._run(call)

    def content(self, job_id: str) -> bytes | None:
        """Return a part's content; None if it is deleted or damaged. Raises DataSealed."""
        found = self._read("content:", job_id)
        return None if found is None else _decompressed(self._calls.cipher.decrypt_content(found))

    def uploaded_before(self, family: str, sha256: str) -> str | None:
        """Return the id of a set of the last 30 days with this content and family; None if there is none."""
        found = self._read("digest:", upload_digest(family, sha256))
        return None if found is None else found.decode()

    def find(self, set_id: str) -> FileSet | None:
        """Return a file set; None for an unknown id. Raises DataSealed."""
        text = self._read("set:", set_id)
        try:
            return None if text is None else FileSet.from_json(self._calls.cipher.decrypt_text(text))
        except DataSealed as error:
            raise DataSealed(f"upload {set_id} {error}") from None

    def note_undo(self, set_id: str, undo: Undo) -> None:
        """Record that a file set was undone. The jobs in `undo` delete its uploads."""
        with our_errors():
            self._client.set(self._key("undo:", set_id), undo.to_json(), px=SET_MS)

    def undo_of(self, set_id: str) -> Undo | None:
        """Return who undid a file set and how; None if it was not undone."""
        text = self._read("undo:", set_id)
        return None if text is None else Undo.from_json(text)

    def _key(self, family: str, name: str) -> str:
        return self._keys.keys().of(family, name)

    def _read(self, family: str, name: str) -> bytes | None:
        with our_errors():
            found: bytes | None = self._client.get(self._key(family, name))
        return found


def _decompressed(content: bytes) -> bytes | None:
    """Decompress at most PART_BYTES, because the content in Redis may be damaged; None if it is."""
    decompression = zlib.decompressobj()
    try:
        text = decompression.decompress(content, PART_BYTES)
    except zlib.error:
        return None
    return text if decompression.eof else None
