"""Calls of whoever enqueues: accept jobs, read them, cancel and replay them. Values only; nothing is sent here."""

from __future__ import annotations

import json
import os
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gaugepost.bell import Bell
from gaugepost.jobs import File
from gaugepost.keys import Keys, idempotency_digest
from gaugepost.ledger.fields import FieldReports
from gaugepost.ledger.scripts import Argument, Call
from gaugepost.ledger.views import JobView, read_holds, read_view
from gaugepost.states import JobState
from gaugepost.tracing import traced
from gaugepost.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gaugepost.jobs import JobBase
    from gaugepost.mappings import Mappings
    from gaugepost.regions import Region
    from gaugepost.sealing import Seal
    from gaugepost.settings import Settings

IDEMPOTENCY_MS = 7 * 86_400_000


def new_job_id() -> str:
    """Return an unguessable id: 128 random bits, 32 hex digits."""
    return os.urandom(16).hex()


def _call_id() -> str:
    """Name one call of a person on the records, so that redis-py's repetition of it is known as such."""
    return os.urandom(4).hex()


@dataclass(frozen=True, slots=True)
class Entry:
    """One job on its way in: the id it will have, the checked job, and a file's content."""

    id: str
    job: JobBase = field(repr=False)
    content: bytes | None = field(default=None, repr=False)
    warnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, job: JobBase, mappings: Mappings | None = None) -> Entry:
        """Give a job its id, read a file's content, look a configuration up. Raises InvalidJob for what is not fit."""
        job = traced(job)
        if isinstance(job, File):
            loaded, content = job.load()
            return cls(new_job_id(), loaded, content)
        if mappings is None:
            return cls(new_job_id(), job)
        resolved, warnings = mappings.check(job)
        return cls(new_job_id(), resolved, warnings=warnings)

    def arguments(self, lane: str, seal: Seal) -> tuple[Argument, ...]:
        """Return the arguments that enqueue.lua takes for one job."""
        job = self.job
        return (
            self.id,
            seal.job(job),
            "1" if job.urgent else "",
            "1" if job.once else "",
            lane,
            idempotency_digest(job.idempotency_key) if job.idempotency_key else "",
            int(job.expires_at.timestamp() * 1000) if job.expires_at else "",
            seal.content(zlib.compress(self.content)) if self.content else "",
            job.source or "",
        )


@dataclass(frozen=True, slots=True)
class Edit:
    """A job as it is to be replayed, in place of its `revision`; `fields`: what a person changed, for the record."""

    job: JobBase
    revision: int
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of one job at enqueue: `duplicate` if its idempotency key had been used before."""

    id: str
    state: JobState
    duplicate: bool


class Intake:
    """Makes the calls for one region."""

    def __init__(self, region: Region, settings: Settings) -> None:
        self.keys = Keys(region)
        self._settings = settings
        self.seal = settings.seal()
        self.limits = (settings.backlog_limit, settings.content_limit)
        self._reports = FieldReports(self.keys) if settings.mappings is not None else None
        self.bell = Bell(self.keys.queue)
        self.urgent_bell = Bell(self.keys.urgent_queue)
        self.queues = (self.keys.prefix, self.keys.queue, self.keys.urgent_queue)

    def enqueue(self, entries: Sequence[Entry]) -> Call[list[Accepted]]:
        """Accept all these jobs in one script and one round trip, or none of them."""
        urgent = any(entry.job.urgent for entry in entries)
        args: list[Argument] = [*self.limits, IDEMPOTENCY_MS, self.bell(), self.urgent_bell() if urgent else ""]
        for entry in entries:
            args += entry.arguments(self.lane(entry.job), self.seal)
        return Call("enqueue", self.queues, args, _read_accepted)

    def report(self, entries: Sequence[Entry]) -> Call[None] | None:
        """Return the call that tells which fields these jobs have; None if it was told today, or MAPPINGS is not set.

        To be made after they were accepted, and to be forgotten if it fails.
        """
        return self._reports.of(entries) if self._reports is not None else None

    def lane(self, job: JobBase) -> str:
        """Return the lane a job waits in; files of a family have one of their own if the settings say so."""
        if isinstance(job, File) and self._settings.upload_scope == "family":
            return f"files:{job.family}"
        return job.lane or ""

    def read(self, ids: Sequence[str]) -> Call[list[JobView | None]]:
        """Read jobs whole; None for an id that this region does not know."""
        region = self.keys.region

        def read(answer: list[list[bytes]]) -> list[JobView | None]:
            holds = read_holds(answer[0])
            rows = zip(ids, answer[1:], strict=True)
            return [read_view(job_id, region, found, holds, self.seal) for job_id, found in rows]

        return Call("read", self.queues[:1], ids, read)

    def cancel(self, ids: Sequence[str], at: int, by: str) -> Call[list[tuple[JobState | None, bool]]]:
        """Cancel what has not been sent; gives each job's state afterwards and whether this call cancelled it."""
        entry = json.dumps({"event": "cancelled", "at": at, "by": by})
        return Call("cancel", self.queues, [self.bell(), self.urgent_bell(), entry, *ids], _read_moved)

    def replay(
        self, ids: Sequence[str], at: int, by: str, why: str, edits: Mapping[str, Edit]
    ) -> Call[list[tuple[JobState | None, bool]]]:
        """Send dead or parked jobs back to work, in the order they were enqueued, some of them edited (by their id)."""
        entry: dict[str, Any] = {"event": "replayed", "at": at, "by": by, "why": why, "call": _call_id()}
        if edits:
            entry["edited"] = sorted({name for edit in edits.values() for name in edit.fields})
        args: list[Argument] = [self.bell(), self.urgent_bell(), json.dumps(entry)]
        for job_id in ids:
            args += [job_id, self._edit(edits[job_id]) if job_id in edits else ""]
        return Call("replay", self.queues, args, _read_moved)

    def _edit(self, edit: Edit) -> str:
        """Write an edited job as replay.lua takes it: all that enqueue.lua keeps beside a job's JSON."""
        job = edit.job
        told = {"job": self.seal.job(job), "revision": str(edit.revision), "lane": self.lane(job)}
        told |= {"urgent": "1" if job.urgent else "", "once": "1" if job.once else ""}
        told["expires"] = str(int(job.expires_at.timestamp() * 1000)) if job.expires_at else ""
        return json.dumps(told | {"configuration": job.mapping or ""})

    def resolve(
        self, ids: Sequence[str], to: JobState, at: int, by: str, why: str
    ) -> Call[list[tuple[JobState | None, bool]]]:
        """Settle by hand jobs whose answer was lost; gives each job's state afterwards and whether this call did it."""
        entry = json.dumps({"event": "settled", "at": at, "by": by, "why": why, "as": to, "call": _call_id()})
        args = [to, Verdict.LOST_ANSWER, self.bell(), self.urgent_bell(), entry, *ids]
        return Call("resolve", self.queues, args, _read_moved)

    def hold(self, scope: str, reason: str, by: str, until_ms: int | None, lasts_ms: int | None) -> Call[bool]:
        """Put up a person's hold, in place of one that put up itself; False if its end is over already."""
        ends = ["" if ms is None else ms for ms in (until_ms, lasts_ms)]
        return Call("hold", self.queues[:1], [scope, reason, by, *ends], bool)

    def resume(self, scope: str) -> Call[bool]:
        """Lift a hold, whoever put it up; False if there was none."""
        return Call("resume", self.queues, [scope, self.bell(), self.urgent_bell()], bool)


def _read_accepted(answer: list[bytes]) -> list[Accepted]:
    rows = zip(answer[::3], answer[1::3], answer[2::3], strict=True)
    return [Accepted(job_id.decode(), JobState(state.decode()), dup == b"1") for job_id, state, dup in rows]


def _read_moved(answer: list[bytes | int]) -> list[tuple[JobState | None, bool]]:
    states = [state.decode() if isinstance(state, bytes) else "" for state in answer[::2]]
    return [(JobState(state) if state else None, bool(done)) for state, done in zip(states, answer[1::2], strict=True)]
