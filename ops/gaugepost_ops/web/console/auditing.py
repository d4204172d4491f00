"""Record the changes of the console in the audit trail, by the name of the person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaugepost.ledger.audit import Via
from gaugepost_ops.web.auditing import recorded_by

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from gaugepost.ledger import Ledger
    from gaugepost_ops.web.auditing import Recorded
    from gaugepost_ops.web.console.sessions import Visitor


def recorded(
    ledger: Ledger, visitor: Visitor, action: str, target: str, reason: str = ""
) -> AbstractContextManager[Recorded]:
    """Record a change before it begins, and how it ended. Set `count` or `is_done`, or it is recorded as refused."""
    return recorded_by(ledger, visitor.name, Via.CONSOLE, action, target, reason)
