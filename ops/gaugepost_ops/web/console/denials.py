"""Record denied changes of the console in the audit trail, each kind once a minute for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaugepost.ledger.audit import Via

if TYPE_CHECKING:
    from gaugepost_ops.web.console.routes import ConsoleRoute
    from gaugepost_ops.web.console.sessions import Visitor
    from gaugepost_ops.web.gateway import Gateway


def note_denial(gateway: Gateway, visitor: Visitor, route: ConsoleRoute) -> None:
    """Record that a person was denied a change."""
    if route.action:
        gateway.denials.note_action(visitor.name, gateway.settings.regions[0], route.action, Via.CONSOLE)
