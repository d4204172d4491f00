"""The types of fields that several kinds of job have."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, ValidationInfo

from gaugepost.jobs.refusal import MAX_DIGITS, TOO_LONG

_CLOCK = "%Y-%m-%d %H:%M:%S"


def _date_time(text: str) -> str:
    try:
        return datetime.strptime(text, _CLOCK).strftime(_CLOCK)  # noqa: DTZ007 - CustomerGauge states no time zone
    except ValueError:
        raise ValueError("expected a date and time as YYYY-MM-DD HH:MM:SS") from None


def _whole(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("expected a whole number")  # noqa: TRY004 - pydantic turns ValueError into a refusal
    if isinstance(value, str) and len(value.strip().lstrip("+-")) > MAX_DIGITS:
        raise ValueError(TOO_LONG)
    return bounded(value) if isinstance(value, int) else value


def bounded(number: int) -> int:
    """Return the number. Raises ValueError for one with too many digits."""
    if abs(number) >= 10**MAX_DIGITS:
        raise ValueError(TOO_LONG)
    return number


def is_utf8(text: str) -> bool:
    """Return whether a text can be encoded as UTF-8; a lone surrogate cannot."""
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


DateTimeText = Annotated[str, AfterValidator(_date_time)]
"""`2018-01-01 13:59:12`, the only form that CustomerGauge documents; it documents no time zone."""

WHOLE = BeforeValidator(_whole)
"""Accept a whole number or its text, but not true and false. Put it last, or the JSON Schema loses the limits."""

Score = Annotated[int, Field(ge=0, le=10), WHOLE]
"""A net promoter score."""

ShortText = Annotated[str, Field(min_length=1, max_length=64)]

Configuration = Annotated[
    str,
    Field(
        min_length=1,
        max_length=128,
        pattern=r"^[^\s\[\]]+$",
        description="The reference of the inbound mapping, usually a UUID, or its alias in mappings.toml.",
        examples=["53505294-0b20-2509-b15d-c8e377701d66"],
    ),
]
"""The reference of an inbound mapping."""


def _flag(value: object) -> object:
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError("expected true or false")  # noqa: TRY004 - pydantic reports this one
    return value


FLAG = BeforeValidator(_flag)
"""Refuse numbers, which pydantic takes for true and false. Put it last, as `WHOLE`."""

Urgent = Annotated[bool, Field(description="Deliver it before all jobs of the region that are not urgent."), FLAG]

MAX_AHEAD = timedelta(days=366)
"""How far ahead `deliver_at` may be."""


def _check_deliver_at(moment: datetime, info: ValidationInfo) -> datetime:
    if moment > datetime.now(UTC) + MAX_AHEAD:
        raise ValueError(f"expected a time at most {MAX_AHEAD.days} days ahead")
    expires_at = info.data.get("expires_at")
    if expires_at is not None and expires_at <= moment:
        raise ValueError("expected a time before expires_at")
    return moment


DeliverAt = Annotated[AwareDatetime, AfterValidator(_check_deliver_at)]
"""A time at most MAX_AHEAD ahead, and before the job's `expires_at`, which must come before it in the model."""

OnUnknown = Annotated[
    Literal["retry", "hold"],
    Field(
        description="What to do when the answer was lost: the request took effect, or it did not. "
        "`retry` sends it again: it may take effect twice. `hold` keeps the job `unknown` until a person has checked "
        "at CustomerGauge: it may take effect late or never."
    ),
]
