"""Convert pydantic's errors into InvalidJob: the field and the expected value, never the given value.

The given value may be personal data.
"""

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
"""Digits of a whole number, at most. Python parses at most 4,300 digits in JSON; other programs parse fewer."""

TOO_LONG = f"expected a whole number of at most {MAX_DIGITS} digits"
NOT_UTF8 = "expected text that can be encoded as UTF-8: no lone surrogates"

_UNION_MEMBERS = frozenset({"str", "int", "float", "bool"})
_OUR_MESSAGES = {
    "missing": "required",
    "too_short": "expected it not to be empty",
    "string_too_short": "expected it not to be empty",
    "string_unicode": NOT_UTF8,
    "int_parsing_size": TOO_LONG,
}
"""Type of a pydantic error → our message, which replaces pydantic's."""


@contextmanager
def refused(model: type[BaseModel]) -> Iterator[None]:
    """Convert a ValidationError of `model` into InvalidJob."""
    try:
        yield
    except ValidationError as error:
        raise refusal(error, tuple(model.model_fields)) from None


def refusal(error: ValidationError, known: Sequence[str] = ()) -> InvalidJob:
    """Return the InvalidJob for pydantic's error: a problem for each field, without values.

    `known`: the valid names, to suggest one for an unknown key.
    """
    problems: dict[str, list[str]] = {}
    for details in error.errors(include_url=False, include_input=False):
        field, expected = _problem(details, known)
        problems.setdefault(field, []).append(expected)
    return InvalidJob([Problem(field, " or ".join(dict.fromkeys(texts))) for field, texts in problems.items()])


def _field_name(loc: tuple[int | str, ...]) -> str:
    """Return the field's name without the parts that pydantic adds for keys and members of a union."""
    return ".".join(str(part) for part in loc if part not in _UNION_MEMBERS and "[" not in str(part))


def _problem(details: Any, known: Sequence[str]) -> tuple[str, str]:  # noqa: ANN401 - pydantic_core's type is not public
    field = _field_name(details["loc"])
    match details["type"]:
        case "extra_forbidden":
            near = difflib.get_close_matches(str(details["loc"][-1]), known, n=1)
            return field, "unknown key" + (f"; did you mean {near[0]}?" if near else "")
        case "union_tag_invalid":
            return "kind", f"expected one of {details['ctx']['expected_tags']}"
        case "union_tag_not_found":
            return "kind", "required"
        case known_type if known_type in _OUR_MESSAGES:
            return field, _OUR_MESSAGES[known_type]
        case _:
            return field, str(details["msg"]).removeprefix("Value error, ").replace("Input should be", "expected")
