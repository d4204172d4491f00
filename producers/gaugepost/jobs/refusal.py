"""How a refusal at the door reads: the field, what was expected, and never the value, which may be personal data."""

from __future__ import annotations

import difflib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from gaugepost.errors import InvalidJob, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pydantic import BaseModel

MAX_DIGITS = 100
"""Digits of a whole number. Python reads at most 4,300 of them back from JSON, other receivers fewer."""

TOO_LONG = f"expected a whole number of at most {MAX_DIGITS} digits"
NOT_UTF8 = "expected text that can be written as UTF-8: no lone surrogates"

_UNION_MEMBERS = frozenset({"str", "int", "float", "bool"})
_SAID = {
    "missing": "required",
    "too_short": "expected it not to be empty",
    "string_too_short": "expected it not to be empty",
    "string_unicode": NOT_UTF8,
    "int_parsing_size": TOO_LONG,
}
"""What we say in place of pydantic's own message, by the type of its error."""


@contextmanager
def refused(model: type[BaseModel]) -> Iterator[None]:
    """Turn pydantic's refusal of a model's fields into InvalidJob."""
    try:
        yield
    except ValidationError as error:
        raise refusal(error, tuple(model.model_fields)) from None


def refusal(error: ValidationError, known: Sequence[str] = ()) -> InvalidJob:
    """Turn pydantic's error into ours: a problem per field, no values, a near name for an unknown key."""
    problems: dict[str, list[str]] = {}
    for details in error.errors(include_url=False, include_input=False):
        place, expected = _problem(details, known)
        problems.setdefault(place, []).append(expected)
    return InvalidJob([Problem(place, " or ".join(dict.fromkeys(told))) for place, told in problems.items()])


def _place(loc: tuple[int | str, ...]) -> str:
    """Name the field as the user wrote it, without pydantic's names for keys and members of a union."""
    return ".".join(str(part) for part in loc if part not in _UNION_MEMBERS and "[" not in str(part))


def _problem(details: Any, known: Sequence[str]) -> tuple[str, str]:  # noqa: ANN401 - pydantic_core's type is not public
    place = _place(details["loc"])
    match details["type"]:
        case "extra_forbidden":
            near = difflib.get_close_matches(str(details["loc"][-1]), known, n=1)
            return place, "unknown key" + (f"; did you mean {near[0]}?" if near else "")
        case "union_tag_invalid":
            return "kind", f"expected one of {details['ctx']['expected_tags']}"
        case "union_tag_not_found":
            return "kind", "required"
        case known_type if known_type in _SAID:
            return place, _SAID[known_type]
        case _:
            return place, str(details["msg"]).removeprefix("Value error, ").replace("Input should be", "expected")
