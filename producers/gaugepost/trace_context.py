"""The trace of a job: its field `traceparent` has the W3C trace context of the code that enqueued it.

This module does not import OpenTelemetry. A service that has a current span has imported it already; for all others the
check costs one lookup in a dictionary.
"""

from __future__ import annotations

import re
import sys

_FORM = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")


def checked(text: str) -> str:
    """Return `text` if it is a `traceparent` of W3C Trace Context, version 00. Raises ValueError."""
    if not _FORM.fullmatch(text):
        raise ValueError("expected a W3C traceparent: 00-<32 hex digits>-<16 hex digits>-<2 hex digits>, in lower case")
    return text


def ids(traceparent: str) -> tuple[int, int, int]:
    """Return trace id, span id and flags of a checked `traceparent`."""
    trace, span, flags = traceparent[3:].split("-")
    return int(trace, 16), int(span, 16), int(flags, 16)


def current() -> str | None:
    """Return the `traceparent` of OpenTelemetry's current span; None if there is none."""
    api = sys.modules.get("opentelemetry.trace")
    if api is None:
        return None
    context = api.get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
