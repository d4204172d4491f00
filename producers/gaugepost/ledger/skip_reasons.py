"""The words for the reasons why an operation skips a job."""

from __future__ import annotations

_WORDS = {
    "gone": "no such job",
    "erased": "it was erased",
    "scheduled": "it is scheduled: --unset deliver_at sends it now",
    "expired": "its expires_at has passed: --unset expires_at, or --set a later one",
    "sent": "it was sent",
    "changed": "another call changed it meanwhile",
    "invalid": "the changes would make it invalid",
    "sealed": "the worker lacks the key that encrypted it",
}


def why_skipped(code: str) -> str:
    """Return the words for a reason of lib/replays.lua, lib/cancellations.lua or operate.lua."""
    kind, _, rest = code.partition(":")
    match kind:
        case "is":
            return f"it is {rest}"
        case "held":
            return f"a hold stops it: {rest or 'region'}"
        case "operation":
            return f"operation {rest} has it"
        case _:
            return _WORDS.get(code, code)
