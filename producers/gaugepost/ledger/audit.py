"""The audit trail: who did what, to how many jobs, why, and how it ended. Each region has a Redis stream of its own.

An entry has no personal data: addresses and phone numbers are masked, and texts are cut. Its id is the time of Redis'
clock, so entries are in the order of time. Redis deletes entries only by their age (GAUGEPOST_RETENTION_AUDIT).
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

from gaugepost.ledger.holds import iso
from gaugepost.ledger.scripts import Call, our_errors
from gaugepost.redaction import mask_contacts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import redis

    from gaugepost.ledger.key_prefix import CurrentKeys
    from gaugepost.ledger.scripts import Runner

PAGE = 1_000
"""The most entries that one call reads."""

UNFINISHED = "unfinished"
"""The error of an entry whose action has not reported its end: it still runs, or it was killed."""

_LONGEST = {"actor": 200, "target": 1_000, "reason": 500}


class Via(StrEnum):
    """The way on which an action came."""

    CLI = "cli"
    API = "api"
    CONSOLE = "console"


class Outcome(StrEnum):
    """How an action ended. `denied`: the actor lacks a right."""

    DONE = "done"
    DENIED = "denied"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One action in one region. `region`: None if the action concerns no region, or none that was found.

    `target`: the jobs, the filter, the hold or the file. `count`: how many jobs it changed or showed. `error`: the
    class of the refusal, if it was not done. `id`: empty until it is written; `<Unix ms>-<number>` from then on.
    """

    actor: str
    action: str
    region: str | None = None
    target: str = ""
    count: int = 0
    reason: str = ""
    via: Via = Via.CLI
    outcome: Outcome = Outcome.DONE
    error: str = ""
    id: str = ""

    @property
    def at(self) -> int:
        """Return when it was written, Unix ms."""
        return int(self.id.partition("-")[0] or 0)

    def to_dict(self) -> dict[str, Any]:
        """Return the row of `gaugepost audit --json`."""
        return {
            "at": iso(self.at),
            "actor": self.actor,
            "via": str(self.via),
            "action": self.action,
            "region": self.region,
            "target": self.target or None,
            "count": self.count,
            "reason": self.reason or None,
            "outcome": str(self.outcome),
            "error": self.error or None,
            "id": self.id,
        }

    def fields(self) -> dict[str, str]:
        """Return the fields of the stream's entry. The same fields in the same order take the least memory."""
        return {
            "actor": _cut(self.actor, _LONGEST["actor"]),
            "via": self.via,
            "action": self.action,
            "region": self.region or "",
            "target": _cut(mask_contacts(self.target), _LONGEST["target"]),
            "count": str(self.count),
            "reason": _cut(mask_contacts(self.reason), _LONGEST["reason"]),
            "outcome": self.outcome,
            "error": self.error,
        }

    @classmethod
    def read(cls, entry_id: bytes, fields: Mapping[bytes, bytes]) -> Self:
        """Parse an entry. A newer version may have written values that this one does not know: they stay texts."""
        texts = {name.decode(errors="replace"): value.decode(errors="replace") for name, value in fields.items()}
        texts.pop("mark", None)
        return cls(
            actor=texts.get("actor", ""),
            action=texts.get("action", ""),
            region=texts.get("region") or None,
            target=texts.get("target", ""),
            count=int(texts["count"]) if texts.get("count", "").isdecimal() else 0,
            reason=texts.get("reason", ""),
            via=_known(Via, texts.get("via", "")),
            outcome=_known(Outcome, texts.get("outcome", "")),
            error=texts.get("error", ""),
            id=entry_id.decode(),
        )


def _known(kind: Callable[[str], Any], text: str) -> Any:  # noqa: ANN401 - the enum's member, or the text
    with suppress(ValueError):
        return kind(text)
    return text


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


class AuditTrail:
    """The audit trail of one region. All methods raise StoreError.

    `retention`: seconds for which Redis keeps an entry.
    """

    def __init__(self, client: redis.Redis, run: Runner, keys: CurrentKeys, retention: float) -> None:
        self._client: Any = client
        self._run = run
        self._keys = keys
        self._retention_ms = int(retention * 1000)

    def write(self, entry: AuditEntry, *, replaces: str = "") -> str:
        """Add an entry, in place of the one with the id `replaces`, if it is given. Return the id of the entry."""
        return self._call(replaces, [part for pair in entry.fields().items() for part in pair])

    def drop(self, entry_id: str) -> None:
        """Delete an entry that `write` returned, for an action that turned out not to concern this region."""
        self._call(entry_id, [])

    def _call(self, replaces: str, fields: Sequence[str]) -> str:
        mark = secrets.token_hex(6)
        return self._run(
            Call("audit", (self._keys.prefix,), [mark, replaces, self._retention_ms, *fields], bytes.decode)
        )

    def read(
        self, *, before: str = "", since: int | None = None, until: int | None = None, limit: int = PAGE
    ) -> list[AuditEntry]:
        """Return at most `limit` entries, newest first. It takes the same time at any depth of the trail.

        `before`: only entries older than the one with this id; the id of the last entry is the cursor of the next page.
        `since` and `until`: only entries of this time, Unix ms.
        """
        newest = f"({before}" if before else "+" if until is None else max(0, until)
        oldest = "-" if since is None else max(0, since)  # Redis refuses a time before 1970
        with our_errors():
            found = self._client.xrevrange(self._keys.keys()["audit"], newest, oldest, count=limit)
        return [AuditEntry.read(entry_id, fields) for entry_id, fields in found]

    def entries(self, *, since: int | None = None, until: int | None = None) -> Iterator[AuditEntry]:
        """Yield all entries of this time, newest first, page by page."""
        page = self.read(since=since, until=until)
        while page:
            yield from page
            page = self.read(before=page[-1].id, since=since) if len(page) == PAGE else []

    def size(self) -> int:
        """Return the number of entries in the trail."""
        with our_errors():
            return int(self._client.xlen(self._keys.keys()["audit"]))
