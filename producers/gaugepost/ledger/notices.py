"""Notices of the scripts for a worker's log: changes of holds, and jobs that died without a worker's decision."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from gaugepost.ledger.holds import Hold, read_hold
from gaugepost.ledger.unreadable import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class HoldChange:
    """A hold was opened, got a new probe time after a failed probe (`moved`), or was lifted. `at`: Unix ms.

    `why`: why it was lifted.
    """

    event: Literal["opened", "moved", "lifted"]
    at: int
    hold: Hold
    why: str = ""


@dataclass(frozen=True, slots=True)
class Death:
    """A job that died because a hold lasted too long (`scope`), or because it cannot be read. `at`: Unix ms."""

    job: str
    verdict: str
    at: int
    scope: str | None = None


Notice = HoldChange | Death


def read_notices(texts: Sequence[bytes]) -> tuple[Notice, ...]:
    """Parse notices. Skip those that this version cannot parse: they are only for the log."""
    return tuple(notice for text in texts if (notice := _read(text)) is not None)


def _read(text: bytes) -> Notice | None:
    try:
        return _notice(json.loads(text))
    except UNREADABLE:
        return None


def _notice(found: Mapping[str, Any]) -> Notice | None:
    match found["event"]:
        case "opened" | "moved" | "lifted" as event:
            hold = read_hold(found["scope"], found["hold"])
            return HoldChange(event, int(found["at"]), hold, found.get("why", ""))
        case "dead":
            return Death(found["job"], found["verdict"], int(found["at"]), found.get("scope"))
        case _:
            return None
