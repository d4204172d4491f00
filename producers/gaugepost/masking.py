"""What of a job's result may stand in a listing that anybody reads: row messages without what they may quote."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MARK = "[…]"
_ROW_MESSAGE = re.compile(r"(Record \d+: )?(Duplicate Record(?=$)|[^:'\"]{1,80}? is required)?")
"""Of a row message, what a source shows as CustomerGauge's own words: a heading is no person's."""


def masked(result: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return a result without the words of row messages that may be a person's; numbers and links stay."""
    if not result or not result.get("messages"):
        return None if result is None else dict(result)
    return {**result, "messages": masked_messages(result["messages"])}


def masked_messages(messages: Iterable[str]) -> list[str]:
    """Return row messages, with `[…]` in place of what may quote a row."""
    return [_masked(message) for message in messages]


def _masked(message: str) -> str:
    known = _ROW_MESSAGE.match(message)
    kept = known.group() if known else ""
    return message if kept == message else f"{kept.rstrip()} {MARK}".lstrip()
