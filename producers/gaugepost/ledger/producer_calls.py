"""The calls of producers and operators: enqueue, read, cancel, replay, hold. They are values; nothing is sent."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from gaugepost.errors import IdempotencyConflict
from gaugepost.jobs import File
from gaugepost.keys import Keys, idempotency_digest
from gaugepost.ledger.chunks import AT_ONCE, chunks
from gaugepost.ledger.entry import ledger_facts
from gaugepost.ledger.field_statistics import FieldReports
from gaugepost.ledger.holds import read_holds
from gaugepost.ledger.presence import Presence
from gaugepost.ledger.reference_query import find_call
from gaugepost.ledger.references import job_hashes
from gaugepost.ledger.scripts import Argument, Call
from gaugepost.ledger.views import JobView, read_view
from gaugepost.redaction import mask_contacts
from gaugepost.states import JobState
from gaugepost.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gaugepost.jobs import JobBase
    from gaugepost.ledger.entry import Entry
    from gaugepost.ledger.reference_query import Matches, Place, Query
    from gaugepost.regions import Region
    from gaugepost.settings import Settings

IDEMPOTENCY_MS = 7 * 86_400_000

_STATES = {state.encode(): state for state in JobState}


def _call_id() -> str:
    """Return a random name for the history entry of a call, by which the script detects a repetition by redis-py."""
    return os.urandom(4).hex()


@dataclass(frozen=True, slots=True)
class Edit:
    """The new form of a job to replay. `revision`: the one it replaces; `fields`: names of the changed fields."""

    job: JobBase
    revision: int
    fields: tuple[str, ...]


class Accepted(NamedTuple):
    """The answer to the enqueue of one job. `duplicate`: an earlier job has its idempotency key, and `id` is its id.

    `conflict`: that job has another kind or content.
    """

    id: str
    state: JobState
    duplicate: bool
    conflict: bool = False


class ProducerCalls:
    """Make the calls of a producer or an operator for one region."""

    def __init__(self, region: Region, settings: Settings) -> None:
        self.keys = Keys(region, settings.namespace)
        self._settings = settings
        self.cipher = settings.cipher()
        self.limits = (settings.backlog_limit, settings.content_limit)
        self._reports = FieldReports(self.keys) if settings.mappings is not None else None
        self.reports_fields = self._reports is not None
        self.queues = (self.keys.prefix, self.keys.queue, self.keys.urgent_queue)

    def enqueue(self, entries: Sequence[Entry], *, no_conflict: bool = False) -> Call[list[Accepted]]:
        """Store all these jobs in one script, or none of them.

        `no_conflict`: store none if one job conflicts; the call then raises IdempotencyConflict.
        """
        script = "enqueue"
        args: list[Argument] = [*self.limits, IDEMPOTENCY_MS, "1" if no_conflict else ""]
        for entry in entries:
            args += entry.arguments(self.lane(entry.job), self.cipher)
            if entry.job.batch:
                script = "enqueue_batch"
        read = _read_all_or_none if no_conflict else _read_accepted
        return Call(script, self.queues, args, lambda answer: read(entries, answer))

    def report(self, entries: Sequence[Entry]) -> Call[None] | None:
        """Return the call that reports the fields of these jobs; None if they were reported today, or without MAPPINGS.

        Run it after the jobs are stored, and ignore its errors.
        """
        return self._reports.of(entries) if self._reports is not None else None

    def lane(self, job: JobBase) -> str:
        """Return the lane of a job, or "". With GAUGEPOST_UPLOAD_SCOPE=family each family of files has its own."""
        if isinstance(job, File) and self._settings.upload_scope == "family":
            return f"files:{job.family}"
        return job.lane or ""

    def read(self, ids: Sequence[str]) -> Call[list[JobView | None]]:
        """Read the first AT_ONCE of these jobs; None for an unknown id."""
        region = self.keys.region

        def read(answer: list[list[Any]]) -> list[JobView | None]:
            holds, (now, seen) = read_holds(answer[0]), answer[1]
            presence = Presence(region, now, None if seen < 0 else seen)
            rows = zip(ids, answer[2:], strict=False)
            return [read_view(job_id, region, found, holds, presence, self.cipher) for job_id, found in rows]

        return Call("read", self.queues[:1], ids[:AT_ONCE], read)

    def states(self, ids: Sequence[str]) -> Call[list[JobState | None]]:
        """Read the states of at most AT_ONCE jobs; None for an unknown id."""
        return Call("states", self.queues[:1], ids, lambda answer: [_STATES.get(state) for state in answer])

    def keyed(self, key: str) -> Call[str | None]:
        """Return the id of the job with this idempotency key; None if there is none. The job may be deleted."""
        return Call("keyed", self.queues[:1], [idempotency_digest(key)], lambda answer: answer.decode() or None)

    def find(self, query: Query, before: Place | None, limit: int) -> Call[Matches]:
        """Look up the newest jobs of a query after the place `before`; see `finding.find`."""
        return find_call(self.keys, self.cipher, query, before, limit)

    def cancel(
        self, ids: Sequence[str], at: int, by: str, why: str = "", *, events: bool = True
    ) -> Call[list[tuple[JobState | None, bool]]]:
        """Cancel jobs that were not sent. Return for each its new state and whether this call cancelled it.

        `events`: whether webhooks get events of it.
        """
        entry = {"event": "cancelled", "at": at, "by": by} | ({"why": mask_contacts(why)} if why else {})
        return Call("cancel", self.queues, [json.dumps(entry), int(not events), *ids], _read_moved)

    def replay(
        self, ids: Sequence[str], at: int, by: str, why: str, edits: Mapping[str, Edit]
    ) -> Iterator[Call[list[tuple[JobState | None, bool]]]]:
        """Requeue dead or parked jobs, in the order of their enqueue. `edits`: id → the new form of a job."""
        entry: dict[str, Any] = {"event": "replayed", "at": at, "by": by, "why": mask_contacts(why)}
        if edits:
            entry["edited"] = sorted({name for edit in edits.values() for name in edit.fields})
        rows = ((job_id, self.edit_argument(edits[job_id]) if job_id in edits else "") for job_id in ids)
        for some in chunks(rows, lambda row: len(row[1])):
            header = json.dumps(entry | {"call": _call_id()})
            yield Call("replay", self.queues, [header, *(text for row in some for text in row)], _read_moved)

    def edit_argument(self, edit: Edit) -> str:
        """Return the argument of replay.lua and operate.lua for an edited job."""
        job = edit.job
        fields = {
            "job": self.cipher.encrypt_job(job, job.to_json()),
            "revision": str(edit.revision),
            "configuration": job.mapping or "",
            "references": job_hashes(job, self.cipher),
        }
        return json.dumps(fields | ledger_facts(job, self.lane(job)))

    def resolve(
        self, ids: Sequence[str], to: JobState, at: int, by: str, why: str
    ) -> Call[list[tuple[JobState | None, bool]]]:
        """Resolve unknown jobs as delivered or dead. Return for each its new state and whether this call changed it."""
        entry = json.dumps(
            {"event": "settled", "at": at, "by": by, "why": mask_contacts(why), "as": to, "call": _call_id()}
        )
        args = [to, Verdict.LOST_ANSWER, entry, *ids]
        return Call("resolve", self.queues, args, _read_moved)

    def hold(self, scope: str, reason: str, by: str, until_ms: int | None, lasts_ms: int | None) -> Call[bool]:
        """Open a person's hold; it replaces an automatic one. Return False if its end is in the past."""
        ends = ["" if ms is None else ms for ms in (until_ms, lasts_ms)]
        return Call("hold", self.queues[:1], [scope, reason, by, *ends], bool)

    def resume(self, scope: str, by: str) -> Call[bool]:
        """Lift a hold of a person or an automatic one. Return False if there is none."""
        return Call("resume", self.queues, [scope, by], bool)


def _read_accepted(entries: Sequence[Entry], answer: list[bytes]) -> list[Accepted]:
    rows = zip(entries, answer[::3], answer[1::3], answer[2::3], strict=True)
    return [
        Accepted(first.decode() or entry.id, _STATES[state], bool(first), bool(conflict))
        for entry, state, first, conflict in rows
    ]


def _read_all_or_none(entries: Sequence[Entry], answer: list[bytes]) -> list[Accepted]:
    """Return the accepted jobs. Raises IdempotencyConflict if nothing was stored because of a conflict."""
    conflict = next((position for position, text in enumerate(answer[2::3]) if text), None)
    if conflict is None:
        return _read_accepted(entries, answer)
    first = answer[3 * conflict + 1].decode()
    position = next((number for number, entry in enumerate(entries, 1) if entry.id == first), None)
    error = IdempotencyConflict(first, position)
    error.number = conflict + 1
    raise error


def _read_moved(answer: list[bytes | int]) -> list[tuple[JobState | None, bool]]:
    states = [state.decode() if isinstance(state, bytes) else "" for state in answer[::2]]
    return [(JobState(state) if state else None, bool(done)) for state, done in zip(states, answer[1::2], strict=True)]
