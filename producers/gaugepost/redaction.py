"""What of a job's result may stand in a listing that anybody reads: row messages without what they may quote."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MARK = "[…]"
_ROW = re.compile(r"Record \d+: ")
_ROW_MESSAGE = re.compile(r"(Record \d+: )?(Duplicate Record(?=$)|[^:'\"]{1,80}? is required)?")
"""Of a row message, what a source shows as CustomerGauge's own words: a heading is no person's."""

_FIELDS = (
    "Account Name", "Email", "First Name", "Last Name", "Phone", "Company", "Country", "Language", "Title",
    "NPS Score", "Comment", "Sent Date", "Completed Date", "Survey Completed Date", "Customer Number",
)  # fmt: skip
"""Headings of CustomerGauge's own samples."""

_WORDS = frozenset(
    """
    a accepted address allowed already an and are as at be been between blank but by can cannot character
    characters chars column columns could date datetime decimal digit digits does duplicate duplicated email empty
    exist exists expected field fields for format found from given has have in incorrect integer invalid is it
    least length less long mandatory maximum may minimum missing more most must no none not number numeric of on
    only or phone provided recognised recognized record records required row rows seems short should specified
    supported text than that the there this time to too type unknown url valid value values was which with without
    wrong yes
    """.split()  # noqa: SIM905 - a list of words, not of lines
)
"""Words of messages about fields; none of them is anybody's data."""

_WORD = re.compile(r"[^\W_]+")
_LONGEST_NUMBER = 3


def masked(result: Mapping[str, Any] | None, headings: Iterable[str] = ()) -> dict[str, Any] | None:
    """Return a result without the words of row messages that may be a person's; numbers and links stay.

    `headings`: names of the file's columns, as far as they are known.
    """
    if not result or not result.get("messages"):
        return None if result is None else dict(result)
    return {**result, "messages": masked_messages(result["messages"], headings)}


def masked_messages(messages: Iterable[str], headings: Iterable[str] = ()) -> list[str]:
    """Return row messages, with `[…]` in place of what may quote a row."""
    names = sorted({name.strip() for name in (*_FIELDS, *headings) if name.strip()}, key=len, reverse=True)
    named = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, names))})(?!\w)", re.IGNORECASE)
    return [_masked(message, named) for message in messages]


def _masked(message: str, named: re.Pattern[str]) -> str:
    rest = named.sub(" ", _ROW.sub("", message, count=1))
    if "@" not in rest and all(map(_says_nothing, _WORD.findall(rest))):
        return message
    known = _ROW_MESSAGE.match(message)
    kept = known.group() if known else ""
    return message if kept == message else f"{kept.rstrip()} {MARK}".lstrip()


def _says_nothing(word: str) -> bool:
    """Return whether a word is no data of the row."""
    return word.lower() in _WORDS or (word.isdecimal() and len(word) <= _LONGEST_NUMBER)
