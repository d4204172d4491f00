"""`Entry`: a checked job with its id and its JSON, and the fields that the scripts need besides the JSON."""

from __future__ import annotations

import math
import os
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic_core import to_json

from gaugepost.jobs import File
from gaugepost.keys import idempotency_digest
from gaugepost.ledger.references import job_hashes
from gaugepost.trace_context import current

if TYPE_CHECKING:
    from datetime import datetime

    from gaugepost.encryption import Cipher
    from gaugepost.jobs import JobBase
    from gaugepost.ledger.scripts import Argument
    from gaugepost.mappings import Mappings

READ_WHOLE = 1_000
"""Scripts decode shorter JSON (in characters) to read a job's kind and configuration. A longer job has a field `about`
with these, which takes 80 bytes.
"""


_IDS_AT_ONCE = 64
_ids: list[str] = []
"""Random ids that no job has yet: a call of the system for each takes as long as to parse a small job."""
if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_ids.clear)


def new_job_id() -> str:
    """Return an unguessable id: 128 random bits as 32 hex digits."""
    try:
        return _ids.pop()
    except IndexError:
        text = os.urandom(16 * _IDS_AT_ONCE).hex()
        first, *rest = (text[at : at + 32] for at in range(0, len(text), 32))
        _ids.extend(rest)
        return first


@dataclass(frozen=True, slots=True)
class Entry:
    """A checked job to enqueue, with its id and, for a file, its content."""

    id: str
    job: JobBase = field(repr=False)
    content: bytes | None = field(default=None, repr=False)
    warnings: tuple[str, ...] = ()
    canary: str = ""
    """The canary that the call asks for, if the job begins a batch: lib/batch_arrivals.lua."""
    text: str = field(init=False, repr=False, compare=False)
    """The job as JSON. `Entry` raises InvalidJob if it is too long."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", self.job.to_json())

    @property
    def size(self) -> int:
        """Bytes of the entry in a call, at most, before encryption."""
        return len(self.text) * (1 if self.text.isascii() else 4) + len(self.content or b"")

    @classmethod
    def of(cls, job: JobBase, mappings: Mappings | None = None, canary: str = "") -> Entry:
        """Make the entry of a job: read a file's content, check a record against its mapping. Raises InvalidJob."""
        job = _with_current_trace(job)
        if isinstance(job, File):
            loaded, content = job.load()
            return cls(new_job_id(), loaded, content, canary=canary)
        if mappings is None:
            return cls(new_job_id(), job, canary=canary)
        resolved, warnings = mappings.check(job)
        return cls(new_job_id(), resolved, warnings=warnings, canary=canary)

    def arguments(self, lane: str, cipher: Cipher) -> tuple[Argument, ...]:
        """Return the arguments of enqueue.lua for one job."""
        job = self.job
        facts = ledger_facts(job, lane)
        if job.idempotency_key:
            facts |= {"idem": idempotency_digest(job.idempotency_key), "same": " ".join(cipher.hashes(job.sent()))}
        if job.source:
            facts["source"] = job.source
        if job.batch:
            facts["batch"] = job.batch
        if self.canary:
            facts["canary"] = self.canary
        about = "" if len(self.text) < READ_WHOLE else f"{job.kind} {job.mapping}" if job.mapping else job.kind
        content = cipher.encrypt_content(zlib.compress(self.content)) if self.content else ""
        stored = cipher.encrypt_job(job, self.text)
        return self.id, stored, about, to_json(facts) if facts else "", content, self.references(cipher)

    def references(self, cipher: Cipher) -> bytes:
        """Return the argument of the scripts for the index: the id as bytes, and the hashes of the job's references."""
        return bytes.fromhex(self.id) + job_hashes(self.job, cipher).encode()


def due_ms(deliver_at: datetime | None) -> int | None:
    """Return a job's `deliver_at` in Unix ms, rounded up: never too early."""
    return None if deliver_at is None else math.ceil(deliver_at.timestamp() * 1000)


def ledger_facts(job: JobBase, lane: str) -> dict[str, str]:
    """Return the fields that the ledger stores besides a job's JSON; only those that the job has."""
    facts: dict[str, str] = {}
    if job.urgent:
        facts["urgent"] = "1"
    if job.once:
        facts["once"] = "1"
    if lane:
        facts["lane"] = lane
    if job.expires_at:
        facts["expires"] = str(int(job.expires_at.timestamp() * 1000))
    if job.deliver_at:
        facts["due"] = str(due_ms(job.deliver_at))
    return facts


def _with_current_trace(job: JobBase) -> JobBase:
    """Set `traceparent` to the current span, unless the job has one."""
    if job.traceparent is not None:
        return job
    found = current()
    return job if found is None else job.model_copy(update={"traceparent": found})
