"""`JobBase`, the base class of all kinds of job.

Jobs are frozen: a worker delivers exactly what was accepted. An error names the field and the expected value. It never
quotes the given value, which may be personal data.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, ValidationError
from pydantic_core import PydanticSerializationError

from gaugepost.errors import InvalidJob, Problem
from gaugepost.jobs.field_types import DeliverAt, OnUnknown, ShortText, Urgent, is_utf8
from gaugepost.jobs.refusal import NOT_UTF8, refusal, refused
from gaugepost.regions import Region  # noqa: TC001 - pydantic reads it at run time
from gaugepost.trace_context import checked

if TYPE_CHECKING:
    from collections.abc import Iterator

Endpoints = Literal["imports", "close_loop", "responses", "uploads"]

MAX_KEY = 200
"""Characters of an idempotency key, at most."""

MAX_BATCH = 100
"""Characters of a batch's name, at most."""

BATCH_PATTERN = r"^[A-Za-z0-9._:-]+$"

MAX_JOB = 1_000_000
"""Characters of a job as JSON, at most; without a file's content."""

_NOT_SENT = {
    "kind",
    "region",
    "idempotency_key",
    "expires_at",
    "deliver_at",
    "source",
    "urgent",
    "on_unknown",
    "labels",
    "batch",
    "traceparent",
}
_SHOWN = frozenset({"region", "configuration", "source", "urgent", "family", "upload_id", "batch", "traceparent"})


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
    deliver_at: Annotated[
        DeliverAt | None,
        Field(
            description="Do not send the job before this time: ISO 8601 with an offset, at most 366 days ahead. A time "
            "that is past means now. `expires_at` must be later.",
            examples=["2026-12-31T09:00:00+01:00"],
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
    batch: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=MAX_BATCH,
            pattern=BATCH_PATTERN,
            description="The name of the batch that the job belongs to: letters, digits and `._:-`. No personal data.",
            examples=["spring-2026"],
        ),
    ] = None
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

        `deliver_at` and `batch` are fields of the job's hash instead: a worker of an older version sets aside JSON with
        a field that it does not know.

        Raises InvalidJob if the JSON has more than `MAX_JOB` characters, or text that is not UTF-8.
        """
        try:
            rest = self.model_dump_json(exclude_defaults=True, exclude={"kind", "deliver_at", "batch"})
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
