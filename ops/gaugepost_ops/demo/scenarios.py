"""The demo's jobs, as a service would write them, and what each must come to by `docs/policy.md`.

Most failures are scenario words of the simulator, so that each can be asked for again by hand: an `Email` such as
`no-campaign@example.com`, a note such as `simulate: partial` (`ops/simulator/README.md`). In no region do five
failures of a server come in a row: that would open the breaker and keep the others waiting.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

_MINUTE = 60.0
_MAPPING = "8a1c2f0e-demo"
_DELIVERED = ("delivered",)
NEW_TEXT_EMAIL = "new-text@example.net"
"""Whose record is refused with a 422 that names no field: the simulator has no word for that."""


@dataclass(frozen=True, slots=True)
class Case:
    """One job and what must become of it.

    `verdicts` are those of its attempts, in order. `has` is what CustomerGauge has of it in the end. `reason` is why
    it waits, `wait` for how many seconds (±20 % jitter), `pause` how many seconds lie between its first and its last
    attempt at least. `warning` is a part of its warning. `expires_in` is in seconds from the enqueue. `act`:
    what a person does to it.
    """

    title: str
    job: Mapping[str, Any]
    state: str = "delivered"
    verdicts: tuple[str, ...] = _DELIVERED
    has: str = "nothing"
    reason: str | None = None
    wait: float | None = None
    pause: float = 0.0
    warning: str | None = None
    expires_in: float | None = None
    act: Literal["cancel", "enqueue again", "refused"] | None = None

    @property
    def region(self) -> str:
        """Return its region."""
        return str(self.job["region"])

    @property
    def kind(self) -> str:
        """Return its kind."""
        return str(self.job["kind"])


@dataclass(frozen=True, slots=True)
class Person:
    """Joe, in as many fields as a job wants."""

    email: str
    more: Mapping[str, Any] = field(default_factory=dict)

    def record(self, region: str, configuration: str = _MAPPING) -> dict[str, Any]:
        """Return a record of this person."""
        record = {"Email": self.email, "NPS Score": "10", **self.more}
        return {"kind": "record", "region": region, "configuration": configuration, "record": record}

    def link(self, region: str) -> dict[str, Any]:
        """Return a wish for a personal link."""
        return {
            "kind": "personal_link",
            "region": region,
            "configuration": _MAPPING,
            "record": {"Email": self.email},
        }

    def response(self, region: str) -> dict[str, Any]:
        """Return a survey response."""
        fields = {"Email": self.email, **self.more}
        return {"kind": "response", "region": region, "fields": fields, "net_promoter_score": 9}


def _joe(email: str = "joe.doe@example.net", **more: str) -> Person:
    return Person(email, more)


def _word(word: str) -> Person:
    return Person(f"{word}@example.com")


def _status(region: str, number: int, status: str, **more: str) -> dict[str, Any]:
    return {"kind": "close_loop", "region": region, "number_customergauge": str(number), "status": status, **more}


def _file(region: str, filename: str, rows: int) -> dict[str, Any]:
    text = "Email,NPS Score\n" + "".join(f"row{n}@example.net,9\n" for n in range(rows))
    content = base64.b64encode(text.encode()).decode()
    return {
        "kind": "file",
        "region": region,
        "family": "transactional",
        "filename": filename,
        "content_base64": content,
    }


UNREACHABLE = Case(
    "nobody there yet",
    _joe("down@example.net").response("au"),
    verdicts=("unreachable", "delivered"),
    has="1 response",
    pause=1.5,
)
"""Enqueued before there is a CustomerGauge; several attempts that reach nobody stand as one."""

KINDS = (
    Case("record", _joe().record("eu"), has="1 record"),
    Case("personal link", _joe().link("us"), has="1 link"),
    Case("response", _joe().response("au"), has="1 response"),
    Case("status 1 of a case", _status("eu", 53499, "open"), has="open"),
    Case("status 2 of it", _status("eu", 53499, "progress", note="called back"), has="progress"),
    Case("status 3 of it", _status("eu", 53499, "closed"), has="closed"),
    Case("file", _file("eu", "march.csv", 3), has="1 file, deleted"),
    Case("file, a slot later", _file("eu", "april.csv", 5), has="1 file, 5 rows"),
)
"""One of every kind but for file_delete, which needs an upload's id."""

FAILURES = (
    Case("taken in part", _status("au", 20001, "open", note="simulate: partial", assignee="a@example.net"),
         verdicts=("delivered_in_part",), has="open", warning="assignee"),
    Case("no campaign fits", _word("no-campaign").link("us"),
         "parked", ("no_campaign",), reason="no_campaign", wait=5 * _MINUTE),
    Case("duplicate contact", _word("duplicate").link("us"), "dead", ("duplicate",)),
    Case("unknown mapping", _joe().record("us", "unknown-mapping"),
         "parked", ("unknown_mapping",), reason="unknown_mapping", wait=5 * _MINUTE),
    Case("… the next of it", _joe().record("us", "unknown-mapping"),
         "parked", (), reason="unknown_mapping"),
    Case("wrong mapping type", _joe().link("au") | {"configuration": "wrong-type"},
         "parked", ("wrong_mapping_type",), reason="wrong_mapping_type", wait=5 * _MINUTE),
    Case("mapping has drifted", _word("drifted").record("eu"),
         "parked", ("mapping_drift",), reason="mapping_drift", wait=5 * _MINUTE),
    Case("missing field", _joe("").record("eu"), "dead", ("missing_field",)),
    Case("invalid value", _status("au", 20002, "open", happened_at="2099-01-01 00:00:00"),
         "dead", ("invalid_value",)),
    Case("new text with a 400", _word("unrecognised-400").link("us"),
         "parked", ("unrecognised_400",), reason="unrecognised_400", wait=_MINUTE),
    Case("new text with a 422", _joe(NEW_TEXT_EMAIL).record("eu"),
         "parked", ("unrecognised_422",), reason="unrecognised_422", wait=_MINUTE),
    Case("200, Data is false", _word("unrecognised-200").response("au"),
         "parked", ("unrecognised_200",), reason="unrecognised_200", wait=_MINUTE),
    Case("no such case (404)", _status("au", 20003, "open", note="simulate: unknown case"),
         "parked", ("unrecognised_404",), reason="unrecognised_404", wait=_MINUTE),
    Case("… the next waits", _status("au", 20003, "progress"), "waiting", (), reason="lane"),
    Case("… another expires", _status("au", 20003, "closed"), "expired", (), expires_in=2.0),
    Case("… is cancelled", _status("au", 20003, "closed"), "cancelled", (), act="cancel"),
    Case("server error, once", _word("500-once").record("us"),
         verdicts=("server_error", "delivered"), has="1 record", pause=1.5),
    Case("HTML page, once", _word("html-once").link("eu"),
         verdicts=("unreadable_success", "delivered"), has="1 link", pause=1.5),
    Case("answer lost: record", _word("cut-after-once").record("eu"),
         verdicts=("lost_answer", "delivered"), has="2 records", pause=1.5),
    Case("answer lost: status", _status("us", 20004, "open", note="simulate: cut after once"),
         verdicts=("lost_answer", "delivered"), has="open, twice", pause=1.5, warning="twice"),
    Case("answer lost: response", _word("cut-after").response("au"),
         "unknown", ("lost_answer",), has="1 response", reason="answer lost"),
    Case("answer lost: link", _word("cut-after-once").link("us"),
         "unknown", ("lost_answer", "duplicate"), has="1 link", reason="link lost", pause=1.5),
    Case("idempotency key", _joe("once@example.net").record("au") | {"idempotency_key": "ticket-991"},
         has="1 record"),
    Case("… used again", _joe("once@example.net").record("au") | {"idempotency_key": "ticket-991"},
         has="1 record", act="enqueue again"),
    Case("score of 11", _joe().response("eu") | {"net_promoter_score": 11}, "refused", ("net_promoter_score",),
         act="refused"),
    Case("file without a row", _file("us", "empty.csv", 0), "refused", ("content",), act="refused"),
)  # fmt: skip
"""Each failure that shows within seconds and leaves its neighbours alone."""

DELETE = Case(
    "file is undone", {"kind": "file_delete", "region": "eu", "upload_id": 0}, has="1 deletion"
)  # fmt: skip
"""Its upload id is not known before the upload."""

UNAUTHENTICATED = Case(
    "tokens revoked",
    _joe("revoked@example.net").record("eu"),
    verdicts=("unauthenticated", "delivered"),
    has="1 record",
)

THROTTLED = (
    Case("region throttled", _word("429-2s-once").record("us"),
         verdicts=("throttled", "delivered"), has="1 record", pause=2.0),
    Case("… its neighbour", _joe("neighbour@example.net").record("us"), has="1 record"),
)  # fmt: skip
"""The neighbour is enqueued while the region is held: it costs no attempt."""

HELD_REASON = {"throttled": "throttled", "refused_credentials": "responses: HTTP 401"}
"""Verdict → how the reason begins for which a job of the region waits from then on."""

REFUSED_CREDENTIALS = Case(
    "API key refused",
    _joe("key@example.net").response("au"),
    verdicts=("refused_credentials", "delivered"),
    has="1 response",
)
"""Delivered when the key is right again and a person has resumed what needs it."""
