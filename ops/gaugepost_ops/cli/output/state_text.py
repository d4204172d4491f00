"""How a job's state is written and coloured, with what a reader needs to understand it."""

from __future__ import annotations

STYLES = {
    "delivered": "green",
    "dead": "red",
    "unknown": "magenta",
    "parked": "yellow",
    "sending": "cyan",
    "cancelled": "dim",
    "expired": "dim",
}
"""Colour of each state; the others have none."""


def describe_state(state: str, reason: str | None, verdict: str | None, until: str, meaning: str | None = None) -> str:
    """Write a state with what it needs to be understood: `parked: server_error until 14:05:00`, `dead: no_campaign`."""
    cause = reason or (verdict if state == "dead" else None)
    cause_text = f": {cause}" + (f" ({meaning})" if meaning else "") if cause else ""
    return state + cause_text + (f" until {until}" if until else "")
