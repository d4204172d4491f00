"""Operations: bulk actions on the jobs of a region that match a filter. Workers carry them out in steps.

An operation first collects the ids of its jobs, then changes them in the order of their enqueue stamps. Each step is
one script, so a killed command, worker or Redis neither repeats nor omits a job. `operation_runner.py` has the workers'
part.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from gaugepost.ledger.edits import Edits
from gaugepost.ledger.holds import iso
from gaugepost.ledger.scripts import Call, our_errors
from gaugepost.ledger.skip_reasons import why_skipped
from gaugepost.redaction import mask_contacts
from gaugepost.states import JobState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import redis

    from gaugepost.encryption import Cipher
    from gaugepost.keys import Keys
    from gaugepost.ledger.job_filter import JobFilter
    from gaugepost.ledger.key_prefix import CurrentKeys
    from gaugepost.ledger.scripts import Argument, Runner

MOST_OPEN = 50
"""How many operations of a region may be open; the next one is refused."""
OPERATION_PREFIX = "op-"
_LISTED = 100


class Action(StrEnum):
    """What an operation does to its jobs."""

    REPLAY = "replay"
    CANCEL = "cancel"
    SETTLE = "settle"


class OperationState(StrEnum):
    """The state of an operation. `finished` and `aborted` are final."""

    RUNNING = "running"
    PAUSED = "paused"
    FINISHED = "finished"
    ABORTED = "aborted"


STATES: Mapping[Action, tuple[JobState, ...]] = {
    Action.REPLAY: (JobState.DEAD, JobState.PARKED),
    Action.CANCEL: (JobState.QUEUED, JobState.WAITING, JobState.PARKED),
    Action.SETTLE: (JobState.UNKNOWN,),
}
"""The states in which an action finds its jobs."""

_REPLAY_EDITED = "replay_edited"
"""The stored action of a replay with edits. A worker that does not know edits leaves an unknown action alone."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. Times are Unix ms. `to`: the state that `settle` gives its jobs.

    `is_collecting`: it looks for its jobs and has changed none; `matched` then counts those that it has found.
    `skipped`: why → how many jobs. `done` and `skipped` add up to `matched` when it is finished. `edited`: the fields
    that it changes; `edits`: their values, encrypted if the region has a data key, until it ends.
    """

    id: str
    region: str
    action: str
    state: OperationState
    filter: Mapping[str, Any]
    reason: str
    by: str
    started_at: int
    ended_at: int | None = None
    rate: int | None = None
    limit: int | None = None
    to: str | None = None
    is_collecting: bool = False
    matched: int = 0
    done: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    edited: tuple[str, ...] = ()
    edits: bytes | None = field(default=None, repr=False)

    @property
    def hashes(self) -> frozenset[str]:
        """The hashes of all references in the filter; none when it has ended."""
        found = (hashes for reference in self.filter.get("references", ()) for hashes in reference[1:])
        return frozenset(one for hashes in found for one in hashes)

    @property
    def has_ended(self) -> bool:
        """Whether workers do nothing more for it."""
        return self.state in {OperationState.FINISHED, OperationState.ABORTED}

    @property
    def progress(self) -> int:
        """How many of its jobs are done or skipped."""
        return self.done + sum(self.skipped.values())

    def to_dict(self) -> dict[str, Any]:
        """Return the operation in the form of `operations --json`."""
        return {
            "id": self.id,
            "region": self.region,
            "action": self.action,
            "filter": _shown(self.filter),
            "set": ({"as": self.to} if self.to else {}) | ({"edited": list(self.edited)} if self.edited else {}),
            "reason": self.reason,
            "by": self.by,
            "state": str(self.state),
            "matched": self.matched,
            "done": self.done,
            "skipped": dict(self.skipped),
            "rate": self.rate,
            "limit": self.limit,
            "started_at": iso(self.started_at),
            "ended_at": iso(self.ended_at),
        }


def read_operation(operation_id: str, region: str, row: Mapping[bytes, bytes]) -> Operation:
    """Parse the hash of an operation."""
    text = {name.decode(): value.decode() for name, value in row.items()}
    skipped = {name.partition(":")[2]: int(value) for name, value in text.items() if name.startswith("skipped:")}
    return Operation(
        id=operation_id,
        region=region,
        action=Action.REPLAY if text["action"] == _REPLAY_EDITED else text["action"],
        state=OperationState(text["state"]),
        filter=json.loads(text["filter"]),
        reason=text["reason"],
        by=text["by"],
        started_at=int(text["started"]),
        ended_at=_number(text, "ended"),
        rate=_number(text, "rate"),
        limit=_number(text, "limit"),
        to=text.get("to"),
        is_collecting=text["phase"] == "collecting" and "ended" not in text,
        matched=_number(text, "matched") or 0,
        done=_number(text, "done") or 0,
        skipped=_in_words(skipped),
        edited=tuple(json.loads(text.get("edited", "[]"))),
        edits=row.get(b"edits"),
    )


def _shown(conditions: Mapping[str, Any]) -> dict[str, Any]:
    """Return a filter for people: of references only their sorts, as `by`, and not the hashes of their values."""
    shown = dict(conditions)
    if references := shown.pop("references", None):
        shown["by"] = [reference[0] for reference in references]
    return shown


def _number(text: Mapping[str, str], name: str) -> int | None:
    return int(text[name]) if name in text else None


def _in_words(codes: Mapping[str, int]) -> dict[str, int]:
    ordered = sorted(codes.items(), key=lambda one: (-one[1], one[0]))
    return {why_skipped(code): number for code, number in ordered}


def new_operation_id() -> str:
    """Return a new id."""
    return OPERATION_PREFIX + os.urandom(6).hex()


class Operations:
    """Start, list and control the operations of a region. All calls raise the StoreErrors of errors.py."""

    def __init__(self, client: redis.Redis, run: Runner, keys: Keys, current_keys: CurrentKeys, cipher: Cipher) -> None:
        self._client: Any = client
        self._cipher = cipher
        self._run = run
        self._keys = keys
        self._current_keys = current_keys

    def start(  # noqa: PLR0913 - a column of the row each
        self,
        action: Action,
        job_filter: JobFilter,
        *,
        by: str,
        reason: str = "",
        rate: int | None = None,
        limit: int | None = None,
        to: JobState | None = None,
        edits: Edits | None = None,
        operation_id: str | None = None,
    ) -> Operation:
        """Start an operation on all jobs that match the filter, at most the `limit` oldest.

        `rate`: jobs a second. `to`: `delivered` or `dead`, for `settle`. `edits`: for `replay`; a job that they would
        make invalid is skipped. `operation_id`: one of `new_operation_id`. Addresses and phone numbers in the reason
        are masked. Raises ValueError for a filter that has neither a state of `STATES[action]` nor references, and for
        a wrong `to` or `edits`; BacklogFull if MOST_OPEN operations are open.
        """
        _check(action, job_filter, to, edits)
        row: dict[str, Argument] = {
            "action": action,
            "filter": json.dumps(job_filter.to_dict()),
            "by": by,
            "reason": mask_contacts(reason),
        }
        row |= {name: value for name, value in {"rate": rate, "limit": limit, "to": to}.items() if value is not None}
        if edits:
            texts = {"edits": self._cipher.encrypt_text(edits.to_json()), "edited": json.dumps(edits.names)}
            row |= {"action": _REPLAY_EDITED, **texts}
        operation_id = operation_id or new_operation_id()
        args = [operation_id, MOST_OPEN, *(part for pair in row.items() for part in pair)]
        self._run(Call("operation_start", [self._keys.prefix], args, bool))
        return self._required(operation_id)

    def _required(self, operation_id: str) -> Operation:
        found = self.show(operation_id)
        assert found is not None, operation_id  # noqa: S101 - it was stored just now
        return found

    def show(self, operation_id: str) -> Operation | None:
        """Return an operation; None for an unknown id."""
        return next(self._rows([operation_id]), None)

    def list(self, most: int = _LISTED) -> list[Operation]:
        """Return the newest operations, the newest first."""
        with our_errors():
            ids = self._client.zrevrange(self._current_keys.keys()["operations"], 0, most - 1)
        return list(self._rows([found.decode() for found in ids]))

    def _rows(self, ids: Sequence[str]) -> Iterator[Operation]:
        keys = self._current_keys.keys()
        with our_errors():
            pipe = self._client.pipeline(transaction=False)
            for operation_id in ids:
                pipe.hgetall(keys.of("operation:", operation_id))
            rows = pipe.execute() if ids else []
        for operation_id, row in zip(ids, rows, strict=True):
            if row:
                yield read_operation(operation_id, str(self._keys.region), row)

    def next_jobs(self, operation_id: str, most: int) -> Sequence[str]:
        """Return the ids of the jobs that an operation changes next."""
        with our_errors():
            found = self._client.zrange(self._current_keys.keys().of("todo:", operation_id), 0, most - 1)
        return [member.decode().partition(" ")[0] for member in found]

    def edits_of(self, operation: Operation) -> Edits | None:
        """Return the edits of an operation; None without any, or if it has ended. Raises DataSealed."""
        return None if operation.edits is None else Edits.from_json(self._cipher.decrypt_text(operation.edits))

    def about_people(self) -> Iterator[Operation]:
        """Yield the operations that have edits or references: open ones, and those that an older version ended."""
        with our_errors():
            ids = [found.decode() for found in self._client.zrange(self._current_keys.keys()["operations"], 0, -1)]
        for first in range(0, len(ids), _LISTED):
            yield from (one for one in self._rows(ids[first : first + _LISTED]) if one.edits is not None or one.hashes)

    def pause(self, operation_id: str) -> Operation | None:
        """Pause a running operation; return it, or None for an unknown id."""
        return self._control(operation_id, OperationState.PAUSED)

    def resume(self, operation_id: str) -> Operation | None:
        """Let a paused operation go on; return it, or None for an unknown id."""
        return self._control(operation_id, OperationState.RUNNING)

    def abort(self, operation_id: str) -> Operation | None:
        """End an operation. The jobs that it has not changed stay as they are. Return it; None for an unknown id.

        If it has ended: delete what an older version left of its edits and references.
        """
        return self._control(operation_id, OperationState.ABORTED)

    def _control(self, operation_id: str, to: OperationState) -> Operation | None:
        self._run(Call("operation_control", [self._keys.prefix], [operation_id, to], bytes))
        return self.show(operation_id)


def _check(action: Action, job_filter: JobFilter, to: JobState | None, edits: Edits | None) -> None:
    if edits and action is not Action.REPLAY:
        raise ValueError(f"{action}: expected no edits")
    if job_filter.state not in STATES[action] and (job_filter.state is not None or not job_filter.references):
        raise ValueError(f"{action}: expected a filter with a state of {', '.join(STATES[action])}")
    if (action is Action.SETTLE) != (to in {JobState.DELIVERED, JobState.DEAD}):
        raise ValueError(f"{action}: expected `to` delivered or dead for settle, and none for other actions")
