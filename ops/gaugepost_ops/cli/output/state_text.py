"""The text and the colour of a job's state."""

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
"""The colour of each state; states that are not here have none."""


def describe_state(state: str, reason: str | None, verdict: str | None, until: str, meaning: str | None = None) -> str:
    """Return a state with its reason: `parked: server_error until 14:05:00`, `dead: no_campaign`.

    `until` is a time that is already formatted; `meaning` explains the reason in words.
    """
    cause = reason or (verdict if state == "dead" else None)
    cause_text = f": {cause}" + (f" ({meaning})" if meaning else "") if cause else ""
    return state + cause_text + (f" until {until}" if until else "")
