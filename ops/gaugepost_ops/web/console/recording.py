"""Record sign-ins, sign-outs and denied changes of the console in the audit trail.

Each has one entry, without a region, in the first region whose Redis answers: `gaugepost audit` merges all regions. A
stranger can fail any number of times, so failures are recorded once in 10 minutes for each user, and once for all
unknown names together. An unknown name is never recorded: people type a password there by mistake.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaugepost.ledger.audit import AuditEntry, Outcome, Via

if TYPE_CHECKING:
    from gaugepost_ops.web.console.routes import Console, ConsoleRoute
    from gaugepost_ops.web.console.session_reads import Visitor

SIGN_IN = "sign in"
FAILED_AGAIN_S = 600.0


def note_denial(console: Console, visitor: Visitor, route: ConsoleRoute) -> None:
    """Record that a person was denied a change, each kind once a minute for a person."""
    if route.action:
        entry = AuditEntry(visitor.name, route.action, via=Via.CONSOLE, outcome=Outcome.DENIED, error="Refused")
        console.gateway.denials.note_entry(console.sessions.regions_from(visitor), entry)


def note_sign_in(console: Console, visitor: Visitor, how: str) -> None:
    """Record that a person has signed in. `how`: password, link or provider."""
    entry = AuditEntry(visitor.name, SIGN_IN, target=how, count=1, via=Via.CONSOLE)
    console.gateway.denials.write(console.sessions.regions_from(visitor), entry)


def note_sign_out(console: Console, visitor: Visitor, which: str) -> None:
    """Record that a person has signed out. `which`: one session or all sessions."""
    entry = AuditEntry(visitor.name, "sign out", target=which, count=1, via=Via.CONSOLE)
    console.gateway.denials.write(console.sessions.regions_from(visitor), entry)


def note_failure(console: Console, name: str, how: str) -> None:
    """Record that a sign-in failed. `name`: of a user, or of a person whom the provider knows; else STRANGER."""
    entry = AuditEntry(name, SIGN_IN, target=how, via=Via.CONSOLE, outcome=Outcome.FAILED, error="refused")
    console.gateway.denials.note_entry(list(console.sessions.calls), entry, again_s=FAILED_AGAIN_S)
