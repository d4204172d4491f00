"""Wait for a condition with a deadline. Tests wait in no other way."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T], within: float = 60.0, what: str | Callable[[], object] = "") -> T:
    """Return the condition's first true value. After `within` seconds, fail with `what`, or what `what()` returns."""
    deadline = time.monotonic() + within
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within} s: {what() if callable(what) else what or condition}")
        time.sleep(0.02)
