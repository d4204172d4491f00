"""The states of a job and who moves it out of them.

`TRANSITIONS` is the only place that says which change is legal: the Lua scripts get it from here (see
`ledger/scripts.py`), the diagram in `docs/states.md` is made from it, and a test walks every illegal pair.
"""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    """What a job is doing; the comment says who moves it on."""

    QUEUED = "queued"  # a worker claims it; a person cancels it; it expires
    WAITING = "waiting"  # the earlier job of its lane ends; its file's slot comes, or a hold
    SENDING = "sending"  # the verdict; or its lease ends and the rescuer takes it back
    PARKED = "parked"  # its time comes; its hold is lifted; a person replays or cancels it
    UNKNOWN = "unknown"  # a person settles it, or a rule does
    DELIVERED = "delivered"  # final
    DEAD = "dead"  # a person replays it
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
"""States in which nothing more happens by itself."""

OPEN = frozenset(JobState) - ENDED
"""States in which a job still waits for something."""


def mermaid() -> str:
    """Draw `TRANSITIONS` as a Mermaid state diagram: the picture in `docs/states.md`."""
    lines = ["stateDiagram-v2", "    [*] --> queued", "    [*] --> waiting"]
    for source, targets in TRANSITIONS.items():
        lines += [f"    {source} --> {target}" for target in JobState if target in targets]
        lines += [f"    {source} --> [*]"] if not targets else []
    return "\n".join(lines)
