"""A job on its way into the ledger: its id, its JSON, and the facts that the scripts keep beside the JSON."""

from __future__ import annotations

import json
import os
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gaugepost.jobs import File
from gaugepost.keys import idempotency_digest
from gaugepost.trace_context import current

if TYPE_CHECKING:
    from gaugepost.encryption import Cipher
    from gaugepost.jobs import JobBase
    from gaugepost.ledger.scripts import Argument
    from gaugepost.mappings import Mappings

READ_WHOLE = 1_000
"""Characters of a job's JSON below which scripts decode it, where they need its kind and configuration. A longer job
has these in a field of their own, which takes 80 bytes.
"""


def new_job_id() -> str:
    """Return an unguessable id: 128 random bits, 32 hex digits."""
    return os.urandom(16).hex()


@dataclass(frozen=True, slots=True)
class Entry:
    """One job on its way in: the id it will have, the checked job, and a file's content."""

    id: str
    job: JobBase = field(repr=False)
    content: bytes | None = field(default=None, repr=False)
    warnings: tuple[str, ...] = ()
    text: str = field(init=False, repr=False, compare=False)
    """The job as JSON, written once."""

    def __post_init__(self) -> None:
        """Write the job as JSON. Raises InvalidJob for one that is too long."""
        object.__setattr__(self, "text", self.job.to_json())

    @property
    def size(self) -> int:
        """Bytes that it takes in a call, at most, before sealing."""
        return len(self.text) * (1 if self.text.isascii() else 4) + len(self.content or b"")

    @classmethod
    def of(cls, job: JobBase, mappings: Mappings | None = None) -> Entry:
        """Give a job its id, read a file's content, look a configuration up. Raises InvalidJob for what is not fit."""
        job = _traced(job)
        if isinstance(job, File):
            loaded, content = job.load()
            return cls(new_job_id(), loaded, content)
        if mappings is None:
            return cls(new_job_id(), job)
        resolved, warnings = mappings.check(job)
        return cls(new_job_id(), resolved, warnings=warnings)

    def arguments(self, lane: str, cipher: Cipher) -> tuple[Argument, ...]:
        """Return the arguments that enqueue.lua takes for one job."""
        job = self.job
        facts = ledger_facts(job, lane)
        if job.idempotency_key:
            facts |= {"idem": idempotency_digest(job.idempotency_key), "same": " ".join(cipher.hashes(job.sent()))}
        if job.source:
            facts["source"] = job.source
        about = "" if len(self.text) < READ_WHOLE else f"{job.kind} {job.mapping}" if job.mapping else job.kind
        content = cipher.encrypt_content(zlib.compress(self.content)) if self.content else ""
        return self.id, cipher.encrypt_job(job, self.text), about, json.dumps(facts) if facts else "", content


def ledger_facts(job: JobBase, lane: str) -> dict[str, str]:
    """Return what the ledger keeps beside a job's JSON, of what it has."""
    facts: dict[str, str] = {}
    if job.urgent:
        facts["urgent"] = "1"
    if job.once:
        facts["once"] = "1"
    if lane:
        facts["lane"] = lane
    if job.expires_at:
        facts["expires"] = str(int(job.expires_at.timestamp() * 1000))
    return facts


def _traced(job: JobBase) -> JobBase:
    """Note the current span in a job, unless it brings one along."""
    if job.traceparent is not None:
        return job
    found = current()
    return job if found is None else job.model_copy(update={"traceparent": found})
