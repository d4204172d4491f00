"""What an endpoint's answer says, before anything is decided about it: four cases, in whichever dialect it came."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gaugepost_tasks.http_messages import EMPTY_MAPPING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Accepted:
    """It was taken. `refused_parts` are the parts that the answer says were not; `warnings` what is odd about it."""

    result: Mapping[str, Any] = field(default_factory=lambda: EMPTY_MAPPING)
    refused_parts: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NotAccepted:
    """The envelope of success with an explicit no in it, and no reason."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """It was refused, with a reason: v4.1's code, v7's field errors, a message in both."""

    message: str
    code: int | None = None
    field_errors: Mapping[str, Sequence[str]] = field(default_factory=lambda: EMPTY_MAPPING)


@dataclass(frozen=True, slots=True)
class Malformed:
    """Not what the endpoint answers: a gateway's page, a cut document, a success without what makes it one."""


ParsedAnswer = Accepted | NotAccepted | Refusal | Malformed
