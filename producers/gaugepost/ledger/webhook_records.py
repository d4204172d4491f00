"""Endpoints of webhooks and the events in their outboxes, as the ledger stores them.

An endpoint is stored in each region whose events it gets, under one id and with the same secrets.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from gaugepost.ledger.holds import iso

if TYPE_CHECKING:
    from collections.abc import Mapping

JOB_EVENTS = ("job.delivered", "job.dead", "job.unknown", "job.cancelled", "job.expired")
"""The events about one job."""
FILE_FINISHED = "file.finished"
SOURCE_EVENTS = (*JOB_EVENTS, FILE_FINISHED)
"""The events that belong to a job, and so to its source."""
EVENTS = (
    *(*SOURCE_EVENTS, "batch.held", "batch.finished"),
    *("hold.opened", "hold.lifted", "operation.finished"),
)
TEST = "webhook.test"
"""The event that `gaugepost webhooks test` sends."""

WEBHOOK_PREFIX = "wh-"
SECRET_PREFIX = "whsec_"  # noqa: S105 - the prefix of all secrets
MOST_ENDPOINTS = 20
"""How many endpoints a region may have: each may need two threads of a worker."""
MOST_EVENTS = 100_000
"""How many undelivered events an endpoint may have in a region; more are dropped and counted."""
MOST_OF_REGION = 400_000
"""How many undelivered events all endpoints of a region may have. Each of more than 4 endpoints may have its share."""
_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret that signs. `until`: when it stops, Unix ms; None: it is the current one."""

    text: str = field(repr=False)
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Numbers:
    """What became of the events of an endpoint in one region. Times are Unix ms."""

    waiting: int = 0
    given_up: int = 0
    sent: int = 0
    dropped: int = 0
    last_sent: int | None = None
    failing_since: int | None = None
    sealed_since: int | None = None
    """Since when workers cannot decrypt its secret."""
    error: str | None = None

    @classmethod
    def read(cls, flat: Mapping[bytes, bytes], waiting: int, given_up: int) -> Self:
        """Parse the hash of an endpoint. `waiting`, `given_up`: how many of its events wait, and were given up."""
        text = {name.decode(): value.decode() for name, value in flat.items()}

        def number(name: str) -> int | None:
            return int(text[name]) if name in text else None

        return cls(
            waiting=waiting,
            given_up=given_up,
            sent=number("sent") or 0,
            dropped=number("dropped") or 0,
            last_sent=number("last_sent"),
            failing_since=number("failing"),
            sealed_since=number("sealed"),
            error=text.get("error"),
        )


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where events are sent. `events`: empty means all, also those of later versions. Times are Unix ms."""

    id: str
    url: str
    events: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    source: str | None = None
    with_result: bool = False
    created: int = 0
    by: str = ""
    limit: int = MOST_EVENTS
    disabled: tuple[int, str] | None = None
    """When and why it was disabled."""
    numbers: Numbers = Numbers()

    @property
    def state(self) -> str:
        """Return `active`, `failing` or `disabled`."""
        return "disabled" if self.disabled else "failing" if self._failing_since else "active"

    @property
    def _failing_since(self) -> int | None:
        return self.numbers.failing_since or self.numbers.sealed_since

    @property
    def share(self) -> float:
        """Return how full its outbox is: 1 is its limit."""
        return (self.numbers.waiting + self.numbers.given_up) / max(self.limit, 1)

    def wants(self, event: str, source: str | None) -> bool:
        """Return whether it gets an event. `source`: that of the event's job."""
        return event == TEST or ((not self.events or event in self.events) and self.source in {None, source})

    def to_json(self) -> str:
        """Return the JSON that Redis stores. A list in it is never empty: Lua would turn it into an object."""
        row: dict[str, Any] = {"url": self.url, "events": self.events or None, "regions": self.regions or None}
        row |= {"source": self.source, "with_result": self.with_result or None, "created": self.created}
        row |= {"by": self.by, "limit": self.limit}
        return json.dumps({name: value for name, value in row.items() if value is not None})

    @classmethod
    def read(
        cls, endpoint_id: str, text: bytes, numbers: Numbers = Numbers(), most_events: int = MOST_EVENTS
    ) -> Endpoint:
        """Parse what `to_json` and the scripts wrote. It ignores fields of a newer version.

        `most_events`: the limit of each endpoint of the region, because it has many.
        """
        row = json.loads(text)
        disabled = row.get("disabled")
        return cls(
            id=endpoint_id,
            url=row["url"],
            events=tuple(row.get("events", ())),
            regions=tuple(row.get("regions", ())),
            source=row.get("source"),
            with_result=row.get("with_result", False),
            created=int(row.get("created", 0)),
            by=row.get("by", ""),
            limit=min(int(row.get("limit", MOST_EVENTS)), most_events),
            disabled=(int(disabled["at"]), disabled["why"]) if disabled else None,
            numbers=numbers,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the row of `gaugepost webhooks list --json`, of one region. It has no secret."""
        numbers = self.numbers
        return {
            "id": self.id,
            "url": self.url,
            "events": list(self.events or EVENTS),
            "regions": list(self.regions),
            "source": self.source,
            "with_result": self.with_result,
            "state": self.state,
            "disabled_at": iso(self.disabled[0]) if self.disabled else None,
            "disabled_reason": self.disabled[1] if self.disabled else None,
            "failing_since": iso(self._failing_since),
            "last_error": numbers.error,
            "last_sent_at": iso(numbers.last_sent),
            "waiting": numbers.waiting,
            "given_up": numbers.given_up,
            "sent": numbers.sent,
            "dropped": numbers.dropped,
            "limit": self.limit,
            "created_at": iso(self.created),
            "created_by": self.by,
        }


@dataclass(frozen=True, slots=True)
class OutboxEvent:
    """An event in the outbox of an endpoint. Times are Unix ms. `data`: what the script wrote about it.

    `due`: when it is sent next; None: it was given up.
    """

    id: str
    type: str
    at: int
    data: Mapping[str, Any]
    tries: int = 0
    last: int | None = None
    error: str | None = None
    due: int | None = None

    @classmethod
    def read(cls, event_id: str, text: bytes, due: int | None = None) -> OutboxEvent:
        """Parse the JSON of lua/lib/events.lua."""
        row = json.loads(text)
        last = row.get("last")
        tries, error = int(row.get("tries", 0)), row.get("error")
        last = None if last is None else int(last)
        return cls(event_id, row["type"], int(row["at"]), row.get("data") or {}, tries, last, error, due)

    def to_dict(self) -> dict[str, Any]:
        """Return the row of `gaugepost webhooks failures --json`, without its endpoint and region."""
        return {
            "id": self.id,
            "type": self.type,
            "job": self.data.get("id") if self.type in JOB_EVENTS else None,
            "at": iso(self.at),
            "tries": self.tries,
            "last_at": iso(self.last),
            "error": self.error,
            "next_at": iso(self.due),
        }


def new_endpoint_id() -> str:
    """Return a new id."""
    return WEBHOOK_PREFIX + os.urandom(6).hex()


def new_secret() -> str:
    """Return a new secret in the form of Standard Webhooks: `whsec_` and 256 random bits in base64."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()
