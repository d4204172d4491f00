"""The workers' part of webhooks: lease events of the outboxes, and record what became of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from gaugepost.ledger.scripts import Call
from gaugepost.ledger.webhook_records import OutboxEvent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gaugepost.keys import Keys
    from gaugepost.ledger.scripts import Argument, Runner

LEASE_MS = 60_000
"""How long a worker may take for the events that it leased: longer than `AT_ONCE` of them may last."""
WAITS_S = (5, 60, 300, 1_800, 7_200, 21_600, 43_200)
"""The waits before an event is sent again. The last one repeats until the event is given up."""
LONGEST_S = 3 * 86_400
"""How long an event may fail before it is given up, and an endpoint before it is disabled."""
KEPT_S = 30 * 86_400
"""How long an event that was given up is kept."""
_WAITS_MS = " ".join(str(1000 * wait) for wait in WAITS_S)


class Became(StrEnum):
    """What became of an event.

    `gone`: the receiver answered 410; `returned`: it was not sent; `unreadable`: this worker cannot decrypt its job;
    `sealed`: this worker cannot decrypt the secret of the endpoint.
    """

    SENT = "sent"
    FAILED = "failed"
    GONE = "gone"
    UNWANTED = "unwanted"
    RETURNED = "returned"
    UNREADABLE = "unreadable"
    SEALED = "sealed"


@dataclass(frozen=True, slots=True)
class Lease:
    """Events of one endpoint that this worker sends. `ends`: when the lease ends, as the script wrote it."""

    endpoint: str
    ends: str
    events: tuple[OutboxEvent, ...]


class WebhookOutbox:
    """The outboxes of one region. All calls raise the StoreErrors of errors.py."""

    def __init__(self, run: Runner, keys: Keys) -> None:
        self._run = run
        self._prefix = (keys.prefix,)

    def due(self) -> list[str]:
        """Return the ids of endpoints for which a worker may send an event now."""
        return self._run(
            Call("webhook_due", self._prefix, [1000 * KEPT_S], lambda answer: [one.decode() for one in answer])
        )

    def take(self, endpoint_id: str, most: int, lease_ms: int = LEASE_MS) -> Lease | None:
        """Lease at most `most` due events of an endpoint; None if there is none that may be sent now."""

        def read(answer: Sequence[Any]) -> Lease | None:
            if len(answer) < 2:  # noqa: PLR2004 - the end of the lease alone
                return None
            ends, *flat = answer
            pairs = zip(flat[::2], flat[1::2], strict=True)
            events = tuple(OutboxEvent.read(name.decode(), text) for name, text in pairs)
            return Lease(endpoint_id, ends.decode(), events)

        return self._run(Call("webhook_take", self._prefix, [endpoint_id, most, lease_ms], read))

    def settle(self, lease: Lease, rows: Sequence[tuple[str, Became, str]]) -> str:
        """Record what became of events: their ids, what, and the error. Return why the endpoint was disabled, or ""."""
        args: list[Argument] = [lease.endpoint, 1000 * LONGEST_S, _WAITS_MS, lease.ends]
        args += (part for row in rows for part in row)
        call: Call[str] = Call("webhook_settle", self._prefix, args, lambda answer: answer.decode())
        return self._run(call)

    def note_sealed(self, endpoint_id: str, why: str) -> None:
        """Record that this worker cannot decrypt the secret of an endpoint."""
        self.settle(Lease(endpoint_id, "0", ()), [("", Became.SEALED, why)])
