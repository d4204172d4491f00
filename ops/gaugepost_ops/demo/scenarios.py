"""The demo's jobs, as a service would write them, and the outcome that `docs/policy.md` promises for each.

Most failures use scenario words of the simulator (`ops/simulator/README.md`), so that a person can repeat each one: an
`Email` such as `no-campaign@example.com`, a note such as `simulate: partial`. No region gets five server failures in a
row, since that would open the circuit breaker and delay the other jobs.
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
FOUND_EMAIL = "joe.doe@example.net"
NEW_TEXT_EMAIL = "new-text@example.net"
"""The simulator refuses this person's record with a 422 that names no field, by a fault rule of the demo."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One job and its expected outcome. All times are in seconds.

    `verdicts`: of its attempts, in order. `has`: what CustomerGauge has of it at the end. `reason`: why it waits.
    `wait`: until its next attempt (±20 % jitter). `pause`: at least this long from the first attempt to the last.
    `warning`: a part of its warning. `deliver_in`, `expires_in`: from the enqueue. `act`: what the demo does with it
    beside that.
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
    deliver_in: float | None = None
    expires_in: float | None = None
    act: Literal["cancel", "cancel by key", "enqueue again", "refused"] | None = None

    @property
    def region(self) -> str:
        """Return the region of the job."""
        return str(self.job["region"])

    @property
    def kind(self) -> str:
        """Return the kind of the job."""
        return str(self.job["kind"])


@dataclass(frozen=True, slots=True)
class Person:
    """A person, from whose fields jobs are made."""

    email: str
    more: Mapping[str, Any] = field(default_factory=dict)

    def record(self, region: str, configuration: str = _MAPPING) -> dict[str, Any]:
        """Return a record of this person."""
        record = {"Email": self.email, "NPS Score": "10", **self.more}
        return {"kind": "record", "region": region, "configuration": configuration, "record": record}

    def link(self, region: str) -> dict[str, Any]:
        """Return a job that asks for this person's survey link."""
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


def _joe(email: str = FOUND_EMAIL, **more: str) -> Person:
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


UNREACHABLE = Scenario(
    "API unreachable",
    _joe("down@example.net").response("au"),
    verdicts=("unreachable", "delivered"),
    has="1 response",
    pause=1.5,
)
"""Enqueued before the simulator runs. Several unreachable attempts count as one."""

KINDS = (
    Scenario("record", _joe().record("eu"), has="1 record"),
    Scenario("personal link", _joe().link("us"), has="1 link"),
    Scenario("response", _joe().response("au"), has="1 response"),
    Scenario("status 1 of a case", _status("eu", 53499, "open"), has="open"),
    Scenario("status 2 of it", _status("eu", 53499, "progress", note="called back"), has="progress"),
    Scenario("status 3 of it", _status("eu", 53499, "closed"), has="closed"),
    Scenario("file", _file("eu", "march.csv", 3), has="1 file, deleted"),
    Scenario("file, a slot later", _file("eu", "april.csv", 5), has="1 file, 5 rows"),
)
"""One job of every kind except file_delete, which needs the id of an upload."""

SCHEDULED = (
    Scenario("a link in 2 s", _joe("later@example.net").link("us"), has="1 link", deliver_in=2.0),
    Scenario("… taken back", _joe("returned@example.net").link("us") | {"idempotency_key": "order-4711"},
         "cancelled", (), deliver_in=_MINUTE, act="cancel by key"),
)  # fmt: skip
"""Jobs with a deliver_at."""

OVER_HTTP = Scenario("record, by HTTP", _joe("http@example.net").record("eu"), has="1 record")
"""The demo sends it to the gateway, and prints a line of curl that does the same."""

FAILURES = (
    Scenario("taken in part", _status("au", 20001, "open", note="simulate: partial", assignee="a@example.net"),
         verdicts=("delivered_in_part",), has="open", warning="assignee"),
    Scenario("no campaign fits", _word("no-campaign").link("us"),
         "parked", ("no_campaign",), reason="no_campaign", wait=5 * _MINUTE),
    Scenario("duplicate contact", _word("duplicate").link("us"), "dead", ("duplicate",)),
    Scenario("unknown mapping", _joe().record("us", "unknown-mapping"),
         "parked", ("unknown_mapping",), reason="unknown_mapping", wait=5 * _MINUTE),
    Scenario("… the next of it", _joe().record("us", "unknown-mapping"),
         "parked", (), reason="unknown_mapping"),
    Scenario("wrong mapping type", _joe().link("au") | {"configuration": "wrong-type"},
         "parked", ("wrong_mapping_type",), reason="wrong_mapping_type", wait=5 * _MINUTE),
    Scenario("mapping has drifted", _word("drifted").record("eu"),
         "parked", ("mapping_drift",), reason="mapping_drift", wait=5 * _MINUTE),
    Scenario("missing field", _joe("").record("eu"), "dead", ("missing_field",)),
    Scenario("invalid value", _status("au", 20002, "open", happened_at="2099-01-01 00:00:00"),
         "dead", ("invalid_value",)),
    Scenario("new text with a 400", _word("unrecognised-400").link("us"),
         "parked", ("unrecognised_400",), reason="unrecognised_400", wait=_MINUTE),
    Scenario("new text with a 422", _joe(NEW_TEXT_EMAIL).record("eu"),
         "parked", ("unrecognised_422",), reason="unrecognised_422", wait=_MINUTE),
    Scenario("200, Data is false", _word("unrecognised-200").response("au"),
         "parked", ("unrecognised_200",), reason="unrecognised_200", wait=_MINUTE),
    Scenario("no such case (404)", _status("au", 20003, "open", note="simulate: unknown case"),
         "parked", ("unrecognised_404",), reason="unrecognised_404", wait=_MINUTE),
    Scenario("… the next waits", _status("au", 20003, "progress"), "waiting", (), reason="lane"),
    Scenario("… another expires", _status("au", 20003, "closed"), "expired", (), expires_in=2.0),
    Scenario("… is cancelled", _status("au", 20003, "closed"), "cancelled", (), act="cancel"),
    Scenario("server error, once", _word("500-once").record("us"),
         verdicts=("server_error", "delivered"), has="1 record", pause=1.5),
    Scenario("HTML page, once", _word("html-once").link("eu"),
         verdicts=("unreadable_success", "delivered"), has="1 link", pause=1.5),
    Scenario("answer lost: record", _word("cut-after-once").record("eu"),
         verdicts=("lost_answer", "delivered"), has="2 records", pause=1.5),
    Scenario("answer lost: status", _status("us", 20004, "open", note="simulate: cut after once"),
         verdicts=("lost_answer", "delivered"), has="open, twice", pause=1.5, warning="twice"),
    Scenario("answer lost: response", _word("cut-after").response("au"),
         "unknown", ("lost_answer",), has="1 response", reason="answer lost"),
    Scenario("answer lost: link", _word("cut-after-once").link("us"),
         "unknown", ("lost_answer", "duplicate"), has="1 link", reason="link lost", pause=1.5),
    Scenario("idempotency key", _joe("once@example.net").record("au") | {"idempotency_key": "ticket-991"},
         has="1 record"),
    Scenario("… used again", _joe("once@example.net").record("au") | {"idempotency_key": "ticket-991"},
         has="1 record", act="enqueue again"),
    Scenario("score of 11", _joe().response("eu") | {"net_promoter_score": 11}, "refused", ("net_promoter_score",),
         act="refused"),
    Scenario("file without a row", _file("us", "empty.csv", 0), "refused", ("content",), act="refused"),
)  # fmt: skip
"""Each failure that shows within seconds and does not affect other jobs."""

DELETE = Scenario(
    "file is undone", {"kind": "file_delete", "region": "eu", "upload_id": 0}, has="1 deletion"
)  # fmt: skip
"""The upload id 0 is replaced when the upload has one."""

ERASED_EMAIL = "revoked@example.net"
UNAUTHENTICATED = Scenario(
    "tokens revoked",
    _joe(ERASED_EMAIL).record("eu"),
    verdicts=("unauthenticated", "delivered"),
    has="1 record",
)

THROTTLED = (
    Scenario("region throttled", _word("429-6s-once").record("us"),
         verdicts=("throttled", "delivered"), has="1 record", pause=6.0),
    Scenario("… its neighbour", _joe("neighbour@example.net").record("us"), has="1 record"),
)  # fmt: skip
"""The neighbour is enqueued while the region is held, so the hold costs it no attempt."""

HELD_REASON = {"throttled": "throttled", "refused_credentials": "responses: HTTP 401"}
"""Verdict → the beginning of the reason for which the region's jobs then wait."""

REFUSED_CREDENTIALS = Scenario(
    "API key refused",
    _joe("key@example.net").response("au"),
    verdicts=("refused_credentials", "delivered"),
    has="1 response",
)
"""Delivered after the key is right again and `gaugepost resume` has lifted the hold."""

BATCH, BATCH_SIZE, CANARY = "spring-import", 20, 3
WRONG_ROW = _joe("").record("eu")
"""Each row of the batch: CustomerGauge refuses it, because the address is missing."""

SLOW_BATCH = "autumn-import"
REMINDER = _joe("reminder@example.net").link("eu")
LATER_FILE = _file("eu", "may.csv", 4)
"""A kept demo has these beside the scenarios."""


def slow_row(number: int, seconds: int) -> dict[str, Any]:
    """Return a row of the slow batch: the answer to it takes some seconds."""
    return _joe(f"row{number}@example.net", Simulate=f"slow {seconds}s").record("us")
