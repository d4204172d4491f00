"""`History`: the events of a job, as its hash stores them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gaugepost.transitions import Attempt
from gaugepost.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gaugepost.ledger.decryption import Decryption

_VERDICTS = frozenset(map(str, Verdict))


@dataclass(frozen=True, slots=True)
class History:
    """The events of a job, oldest first: one entry for each."""

    entries: tuple[dict[str, Any], ...] = field(default=(), repr=False)

    def attempts(self) -> list[Attempt]:
        """Return all attempts, also those before a replay."""
        return [_attempt(entry) for entry in self.entries if entry["event"] == "attempt"]

    def since_replay(self) -> list[Attempt]:
        """Return the attempts since the last replay; only these count towards limits."""
        entries: list[dict[str, Any]] = []
        for entry in self.entries:
            entries = [] if entry["event"] == "replayed" else [*entries, entry]
        return History(tuple(entries)).attempts()

    def checks(self) -> list[dict[str, Any]]:
        """Return the entries of all requests for upload statistics."""
        return [entry for entry in self.entries if entry["event"] == "check"]

    @property
    def last_n(self) -> int:
        """The number of the last attempt; 0 if there was none."""
        return max((entry.get("n", 0) for entry in self.entries), default=0)


_NOTHING = History()


def read_history(lines: bytes, decryption: Decryption | None = None) -> History:
    """Parse the field `history`: one JSON object in each line. Without `decryption`, encrypted parts are left out."""
    if not lines:
        return _NOTHING
    entries = (_exact(json.loads(line)) for line in lines.splitlines())
    history = History(tuple(entries if decryption is None else map(decryption.entry, entries)))
    history.attempts()  # finds an unreadable line here, not later during a delivery
    return history


def _exact(entry: dict[str, Any]) -> dict[str, Any]:
    """Replace the verdict for older versions by the exact one, if this version knows it."""
    exact = entry.pop("exact", None)
    return entry | {"verdict": exact} if exact in _VERDICTS else entry


def _attempt(entry: Mapping[str, Any]) -> Attempt:
    return Attempt(
        n=entry["n"],
        at=entry["at"],
        ms=entry["ms"],
        status=entry.get("status"),
        verdict=Verdict(entry["verdict"]),
        message=entry.get("message", ""),
        counted=entry.get("counted", True),
        field_errors=entry.get("field_errors", {}),
    )
