"""Redact results for listings: row messages may quote personal data, which these functions replace by `[…]`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

MARK = "[…]"
_ROW = re.compile(r"Record \d+: ")
_ROW_MESSAGE = re.compile(r"(Record \d+: )?(Duplicate Record(?=$)|[^:'\"]{1,80}? is required)?")
"""The row messages whose wording CustomerGauge documents; a heading in them is no personal data."""

_ADDRESS = re.compile(r"[^\s@,;:=<>()\[\]\"']+@[^\s@,;:=<>()\[\]\"']+")
_PHONE = re.compile(r"(?<!\w)(?:\+|00)\d[\d ()./-]{5,}\d(?!\w)")

_FIELDS = (
    "Account Name", "Email", "First Name", "Last Name", "Phone", "Company", "Country", "Language", "Title",
    "NPS Score", "Comment", "Sent Date", "Completed Date", "Survey Completed Date", "Customer Number",
)  # fmt: skip
"""The headings in CustomerGauge's samples."""

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
"""Words of messages about fields; none is personal data."""

_WORD = re.compile(r"[^\W_]+")
_LONGEST_NUMBER = 3


def mask_contacts(text: str) -> str:
    """Return a text with `[…]` in place of e-mail addresses and of phone numbers with a country code."""
    return _PHONE.sub(MARK, _ADDRESS.sub(MARK, text))


def redact(result: Mapping[str, Any] | None, headings: Iterable[str] = ()) -> dict[str, Any] | None:
    """Return a result without the parts of row messages that may be personal data; keep numbers and links.

    `headings`: the known names of the file's columns, which are kept too.
    """
    if not result or not result.get("messages"):
        return None if result is None else dict(result)
    return {**result, "messages": redact_messages(result["messages"], headings)}


def redact_messages(messages: Iterable[str], headings: Iterable[str] = ()) -> list[str]:
    """Return row messages with `[…]` in place of text that may quote the row."""
    names = sorted({name.strip() for name in (*_FIELDS, *headings) if name.strip()}, key=len, reverse=True)
    named = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, names))})(?!\w)", re.IGNORECASE)
    return [_redact_message(message, named) for message in messages]


def _redact_message(message: str, named: re.Pattern[str]) -> str:
    rest = named.sub(" ", _ROW.sub("", message, count=1))
    if "@" not in rest and all(map(_is_harmless, _WORD.findall(rest))):
        return message
    known = _ROW_MESSAGE.match(message)
    kept = known.group() if known else ""
    return message if kept == message else f"{kept.rstrip()} {MARK}".lstrip()


def _is_harmless(word: str) -> bool:
    """Return whether a word cannot be data of the row: a known word or a short number."""
    return word.lower() in _WORDS or (word.isdecimal() and len(word) <= _LONGEST_NUMBER)
