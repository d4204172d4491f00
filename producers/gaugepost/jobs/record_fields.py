"""The fields of a record: its type, and the checks of the headings that CustomerGauge documents."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, Field, FiniteFloat

from gaugepost.jobs.field_types import bounded, is_utf8
from gaugepost.jobs.refusal import NOT_UTF8

Scalar = str | int | FiniteFloat | bool | None
"""A value in a record; CustomerGauge has no nested values."""

_PHONE = re.compile(r"[0-9 ()+-]+")
_SCORE = range(11)


def _check_phone(text: str) -> None:
    if not _PHONE.fullmatch(text):
        raise ValueError("expected digits, space, ( ) - + only")


def _check_score(text: str) -> None:
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number not in _SCORE:
        raise ValueError("expected a whole number from 0 to 10")


def _check_date(text: str) -> None:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("expected a date as YYYY-MM-DD or YYYY-MM-DD HH:MM:SS") from None


_KNOWN_HEADINGS = {
    "phone": _check_phone,
    "telephone": _check_phone,
    "nps score": _check_score,
    "sent date": _check_date,
    "completed date": _check_date,
    "survey completed date": _check_date,
}
"""Headings whose rules CustomerGauge documents. Each account defines its other headings itself."""


def _check_fields(fields: dict[str, Scalar]) -> dict[str, Scalar]:
    for heading, value in fields.items():
        if isinstance(value, str) and value.isascii() and heading.lower() not in _KNOWN_HEADINGS:
            continue  # a short cut for most fields
        try:
            _check_field(heading, value)
        except ValueError as refusal:
            raise ValueError(f"{heading}: {refusal}") from None
    return fields


def _check_field(heading: str, value: Scalar) -> None:
    if isinstance(value, str) and not is_utf8(value):
        raise ValueError(NOT_UTF8)
    if isinstance(value, int):
        bounded(value)
    check = _KNOWN_HEADINGS.get(heading.lower())
    if check is not None and value is not None and value != "":
        check(str(value).strip())


RecordFields = Annotated[
    dict[Annotated[str, Field(min_length=1, max_length=255)], Scalar],
    Field(
        min_length=1,
        description="Heading → value: text, number, true, false or null. Headings are case-sensitive; CustomerGauge "
        "drops those that its mapping does not have. gaugepost checks `Phone` (digits, space, ( ) - +), "
        "`NPS Score` (0 to 10), `Sent Date`, `Completed Date` and `Survey Completed Date` (YYYY-MM-DD, with or without "
        "HH:MM:SS).",
        examples=[{"Account Name": "ACME", "Email": "joe.doe@example.com", "NPS Score": "10"}],
    ),
    AfterValidator(_check_fields),
]
"""Heading → value; at least one heading."""
