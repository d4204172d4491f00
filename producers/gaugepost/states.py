"""The states of a job and the legal changes between them.

`TRANSITIONS` is the only definition of the legal changes. `ledger/scripts.py` passes it to the Lua scripts, `make docs`
draws the diagram in `docs/states.md` from it, and a test tries every illegal change.
"""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    """The state of a job. Each comment says what ends the state."""

    QUEUED = "queued"  # a worker claims the job; a person cancels it; it expires
    WAITING = "waiting"  # the earlier job of its lane ends; the upload slot opens; a hold parks it
    SENDING = "sending"  # the worker settles it; or its lease ends and the rescuer requeues it
    PARKED = "parked"  # its time comes; its hold is lifted; a person replays or cancels it
    UNKNOWN = "unknown"  # a person or a rule resolves it
    DELIVERED = "delivered"  # final
    DEAD = "dead"  # a person replays it; otherwise final
    CANCELLED = "cancelled"  # final
    EXPIRED = "expired"  # final


_S = JobState

TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    _S.QUEUED: frozenset({_S.SENDING, _S.PARKED, _S.CANCELLED, _S.EXPIRED}),
    _S.WAITING: frozenset({_S.QUEUED, _S.SENDING, _S.PARKED, _S.CANCELLED, _S.EXPIRED}),
    _S.SENDING: frozenset({_S.DELIVERED, _S.PARKED, _S.DEAD, _S.UNKNOWN, _S.QUEUED, _S.WAITING}),
    _S.PARKED: frozenset({_S.QUEUED, _S.WAITING, _S.DELIVERED, _S.DEAD, _S.CANCELLED, _S.EXPIRED}),
    _S.UNKNOWN: frozenset({_S.DELIVERED, _S.DEAD}),
    _S.DELIVERED: frozenset(),
    _S.DEAD: frozenset({_S.QUEUED, _S.WAITING}),
    _S.CANCELLED: frozenset(),
    _S.EXPIRED: frozenset(),
}

ENDED = frozenset({_S.DELIVERED, _S.DEAD, _S.CANCELLED, _S.EXPIRED})
"""States that gaugepost does not change by itself."""

OPEN = frozenset(JobState) - ENDED
"""States of jobs that have not ended."""


def mermaid() -> str:
    """Return `TRANSITIONS` as a Mermaid state diagram, for `docs/states.md`."""
    lines = ["stateDiagram-v2", "    [*] --> queued", "    [*] --> waiting", "    [*] --> parked"]
    for source, targets in TRANSITIONS.items():
        lines += [f"    {source} --> {target}" for target in JobState if target in targets]
        lines += [f"    {source} --> [*]"] if not targets else []
    return "\n".join(lines)
