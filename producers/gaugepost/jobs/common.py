"""`JobBase`, the base class of all kinds of job, and the types of their fields.

Jobs are frozen: a worker delivers exactly what was accepted. An error names the field and the expected value. It never
quotes the given value, which may be personal data.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    Field,
    FiniteFloat,
    ValidationError,
)
from pydantic_core import PydanticSerializationError

from gaugepost.errors import InvalidJob, Problem
from gaugepost.jobs.refusal import MAX_DIGITS, NOT_UTF8, TOO_LONG, refusal, refused
from gaugepost.regions import Region  # noqa: TC001 - pydantic reads it at run time
from gaugepost.trace_context import checked

if TYPE_CHECKING:
    from collections.abc import Iterator

Scalar = str | int | FiniteFloat | bool | None
"""A value in a record; CustomerGauge has no nested values."""

Endpoints = Literal["imports", "close_loop", "responses", "uploads"]

MAX_KEY = 200
"""Characters of an idempotency key, at most."""

MAX_JOB = 1_000_000
"""Characters of a job as JSON, at most; without a file's content."""

_CLOCK = "%Y-%m-%d %H:%M:%S"
_PHONE = re.compile(r"[0-9 ()+-]+")
_SCORE = range(11)


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
    return _bounded(value) if isinstance(value, int) else value


def _bounded(number: int) -> int:
    if abs(number) >= 10**MAX_DIGITS:
        raise ValueError(TOO_LONG)
    return number


DateTimeText = Annotated[str, AfterValidator(_date_time)]
"""`2018-01-01 13:59:12`, the only form that CustomerGauge documents; it documents no time zone."""

WHOLE = BeforeValidator(_whole)
"""Accept a whole number or its text, but not true and false. Put it last, or the JSON Schema loses the limits."""

Score = Annotated[int, Field(ge=0, le=10), WHOLE]
"""A net promoter score."""

ShortText = Annotated[str, Field(min_length=1, max_length=64)]


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
        _bounded(value)
    check = _KNOWN_HEADINGS.get(heading.lower())
    if check is not None and value is not None and value != "":
        check(str(value).strip())


def is_utf8(text: str) -> bool:
    """Return whether a text can be encoded as UTF-8; a lone surrogate cannot."""
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


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


_NOT_SENT = {
    "kind",
    "region",
    "idempotency_key",
    "expires_at",
    "source",
    "urgent",
    "on_unknown",
    "labels",
    "traceparent",
}
_SHOWN = frozenset({"region", "configuration", "source", "urgent", "family", "upload_id", "traceparent"})


Urgent = Annotated[bool, Field(description="Deliver it before all jobs of the region that are not urgent.")]

OnUnknown = Annotated[
    Literal["retry", "hold"],
    Field(
        description="What to do when the answer was lost, so that nobody knows whether the request took effect. "
        "`retry` sends it again: it may take effect twice. `hold` keeps the job `unknown` until a person has checked "
        "at CustomerGauge: it may take effect late or never."
    ),
]


class JobBase(BaseModel, frozen=True, extra="forbid", hide_input_in_errors=True):
    """One typed request to CustomerGauge. The constructor and the parsers raise InvalidJob for wrong fields."""

    kind: str
    region: Annotated[Region, Field(description="The region of the CustomerGauge account.", examples=["eu"])]
    idempotency_key: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=MAX_KEY,
            description="For 7 days, a second enqueue with the same key in the same region returns the first job, "
            "whatever its state. The same key with another kind or content is refused. No personal data.",
            examples=["ticket-991"],
        ),
    ] = None
    expires_at: Annotated[
        AwareDatetime | None,
        Field(
            description="Do not send the job after this time: ISO 8601 with an offset.",
            examples=["2026-12-31T18:00:00+01:00"],
        ),
    ] = None
    source: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=64,
            pattern=r"^[\w.:/-]+$",
            description="The service that enqueues the job. The sources of a region take turns, and listings can "
            "filter by them.",
            examples=["crm"],
        ),
    ] = None
    urgent: Urgent = False
    on_unknown: OnUnknown = "retry"
    labels: Annotated[
        tuple[ShortText, ...],
        Field(
            max_length=10,
            description="Your own words, which listings show. No personal data.",
            examples=[["spring-campaign"]],
        ),
    ] = ()
    traceparent: Annotated[
        Annotated[str, AfterValidator(checked)] | None,
        Field(
            description="The W3C trace of the job. Without it, `enqueue` takes the current OpenTelemetry span.",
            examples=["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
        ),
    ] = None

    if not TYPE_CHECKING:  # type checkers use the signatures that pydantic makes from the fields

        def __init__(self, **fields: object) -> None:
            try:  # the same as `refused`, at a fifth of its cost
                super().__init__(**fields)
            except ValidationError as error:
                raise refusal(error, tuple(type(self).model_fields)) from None

        __init__.__pydantic_base_init__ = True  # pydantic then skips this __init__ in `parse_job`, which is faster

        @classmethod
        def model_validate(cls, *args: object, **options: object) -> JobBase:
            """Parse a job of this kind. Raises InvalidJob."""
            with refused(cls):
                return super().model_validate(*args, **options)

        @classmethod
        def model_validate_json(cls, *args: object, **options: object) -> JobBase:
            """Parse a job of this kind from JSON. Raises InvalidJob."""
            with refused(cls):
                return super().model_validate_json(*args, **options)

    needs: ClassVar[Literal["oauth", "api_key"]] = "oauth"
    """Which credentials of the region its endpoint requires."""

    endpoints: ClassVar[Endpoints] = "imports"
    """The family of its endpoint. CustomerGauge throttles each family by itself, so each has its own holds."""

    @property
    def lane(self) -> str | None:
        """The lane that delivers it: one job after another. None means in parallel with all other jobs."""
        return None

    @property
    def once(self) -> bool:
        """Whether a repeated request could do harm. The worker then writes a sending mark before the first byte."""
        return self.on_unknown == "hold"

    @property
    def mapping(self) -> str | None:
        """The reference of the inbound mapping that the job uses, if any."""
        return None

    def sent(self) -> dict[str, Any]:
        """Return the content that a delivery sends, to compare jobs by it; without source, labels, times and so on."""
        return {"kind": self.kind} | self.model_dump(mode="json", exclude=_NOT_SENT, exclude_defaults=True)

    @classmethod
    def read_result(cls, data: dict[str, Any]) -> BaseModel:
        """Parse the result of a delivered job of this kind that the ledger stored."""
        raise NotImplementedError

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """Show no personal data in tracebacks and logs."""
        return ((name, value) for name, value in super().__repr_args__() if name in _SHOWN and value is not None)

    def to_json(self) -> str:
        """Serialise the job for the ledger: the kind, and all fields that differ from their defaults.

        Raises InvalidJob if the JSON has more than `MAX_JOB` characters, or text that is not UTF-8.
        """
        try:
            rest = self.model_dump_json(exclude_defaults=True, exclude={"kind"})
        except PydanticSerializationError:
            names = [name for name, value in self if isinstance(value, str) and not is_utf8(value)]
            raise InvalidJob([Problem(name, NOT_UTF8) for name in names or [""]]) from None
        if len(rest) > MAX_JOB:
            raise InvalidJob([Problem("", f"expected a job of at most {MAX_JOB:,} characters as JSON")])
        return f'{{"kind":"{self.kind}",{rest[1:]}'


class SealedJob(JobBase, frozen=True):
    """A stored job whose data this process cannot decrypt: only its readable fields. It is never sent nor stored."""

    configuration: str | None = None

    @property
    def mapping(self) -> str | None:
        """The reference of its inbound mapping."""
        return self.configuration
