"""The four cases of a parsed answer, the same for both formats, before a verdict names it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gaugepost_tasks.http_messages import EMPTY_MAPPING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gaugepost.jobs import JobBase
    from gaugepost_tasks.http_messages import Answer


@dataclass(frozen=True, slots=True)
class Accepted:
    """CustomerGauge accepted the request.

    `refused_parts`: names of the parts that it did not accept. `warnings`: texts for the job's record.
    """

    result: Mapping[str, Any] = field(default_factory=lambda: EMPTY_MAPPING)
    refused_parts: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NotAccepted:
    """The success envelope holds an explicit no, without a reason."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """CustomerGauge refused the request: with a code (v4.1) or field errors (v7), and a message."""

    message: str
    code: int | None = None
    field_errors: Mapping[str, Sequence[str]] = field(default_factory=lambda: EMPTY_MAPPING)


@dataclass(frozen=True, slots=True)
class Malformed:
    """The endpoint does not answer like this: a gateway's error page, a cut document, or an incomplete success."""


ParsedAnswer = Accepted | NotAccepted | Refusal | Malformed


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a job's request, as the module of its kind parses it.

    `sent_fields`: name → value of the fields in the request.
    """

    job: JobBase
    answer: Answer
    parsed: ParsedAnswer
    sent_fields: Mapping[str, object]
