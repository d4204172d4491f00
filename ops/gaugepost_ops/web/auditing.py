"""Record the changes over HTTP in the audit trail, by the name of the key. What cannot be recorded is not done."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from gaugepost.errors import GaugepostError
from gaugepost.ledger.audit import UNFINISHED, AuditEntry, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gaugepost.ledger import Ledger
    from gaugepost_ops.web.actors import Actor


class Recorded:
    """The entry of one change in the audit trail."""

    def __init__(self, ledger: Ledger, entry: AuditEntry) -> None:
        self.count = 0
        self.is_done = False
        """Whether it was done, although it counts no job."""
        self.target = entry.target
        self._trail = ledger.audit
        self._entry = replace(entry, outcome=Outcome.FAILED, error=UNFINISHED)
        self._begun = self._trail.write(self._entry)

    def end(self, error: str) -> None:
        """Replace the entry by one that says how the change ended. `error`: why nothing was changed."""
        outcome = Outcome.FAILED if error else Outcome.DONE
        self._trail.write(
            replace(self._entry, outcome=outcome, error=error, count=self.count, target=self.target),
            replaces=self._begun,
        )


@contextmanager
def recorded(ledger: Ledger, actor: Actor, action: str, target: str, reason: str = "") -> Iterator[Recorded]:
    """Record a change of a key or a person before it begins, and how it ended.

    Set `count` or `is_done`, or it is recorded as refused.
    """
    entry = AuditEntry(actor.name, action, str(ledger.region), target, reason=reason, via=actor.via)
    one = Recorded(ledger, entry)
    try:
        yield one
    except GaugepostError as error:
        one.end(type(error).__name__)
        raise
    one.end("" if one.count or one.is_done else "refused")
