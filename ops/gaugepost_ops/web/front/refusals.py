"""What `enqueue` refuses, in CustomerGauge's own shapes and, where its pages show them, in its own words."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from gaugepost.errors import IdempotencyConflict, InvalidJob
from gaugepost.jobs.response import NAMED_FIELDS
from gaugepost_ops.web.front import dialects
from gaugepost_ops.web.front.dialects import V41, Laravel
from gaugepost_ops.web.problems import MOST_ERRORS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.responses import Response

    from gaugepost.errors import Problem
    from gaugepost_ops.web.front.dialects import Dialect

NO_CONFIGURATION = {"configuration": ["The configuration field is required."]}
NO_CONTACT = {
    "Email": ["The Email field is required when Phone is not present."],
    "Phone": ["The Phone field is required when Email is not present."],
}
_REQUIRED = "required"
_WORDS = {
    "status": "The selected status is invalid.",
    "note": "The note must be a string.",
    "happened_at": "The happened at does not match the format Y-m-d H:i:s.",
    "assignee": "The assignee must be a valid email address.",
    "Phone": "The Phone format is invalid.",
}
_THEIR_NAMES = {ours: theirs for theirs, ours in NAMED_FIELDS.items()}


def refusal_of(error: InvalidJob, dialect: Dialect) -> Response:
    """Return the refusal of a job."""
    if isinstance(error, IdempotencyConflict):
        return dialect.refusal(HTTPStatus.CONFLICT, str(error), {"Gaugepost-Job": error.id})
    if isinstance(dialect, Laravel):
        return _laravel(error.problems, dialect)
    if isinstance(dialect, V41):
        return _v41(error.problems, dialect)
    return dialect.refusal(HTTPStatus.BAD_REQUEST, str(error))


def _laravel(problems: Sequence[Problem], dialect: Laravel) -> Response:
    if any(problem.field == "configuration" and problem.expected == _REQUIRED for problem in problems):
        return dialect.invalid(NO_CONFIGURATION, "The given data was invalid.")
    errors: dict[str, list[str]] = {}
    for problem in problems[:MOST_ERRORS]:
        name, expected = _named(problem)
        if not name:
            return dialect.invalid(NO_CONTACT)
        errors.setdefault(name, []).append(_text(name, expected))
    return dialect.invalid(errors)


def _named(problem: Problem) -> tuple[str, str]:
    """Return the field as the caller knows it, and what was expected; "" if the record or its contact is missing."""
    field, expected = problem.field, problem.expected
    if field == "record":
        field, _, expected = expected.rpartition(": ")
    elif field == "" and expected.startswith("record: "):
        return "", expected
    return field.removeprefix("record."), expected


def _text(name: str, expected: str) -> str:
    label = name.replace("_", " ")
    if expected == _REQUIRED:
        return f"The {label} field is required."
    return _WORDS.get(name, f"The {label} is invalid: {expected}.")


def _v41(problems: Sequence[Problem], dialect: V41) -> Response:
    names = {problem.field.partition(".")[0] for problem in problems}
    if "workflow_status" in names:
        return dialect.error(HTTPStatus.BAD_REQUEST, dialects.UNKNOWN_WORKFLOW_STATUS, "Workflow status does not exist")
    texts = [
        f"{_THEIR_NAMES.get(one.field, one.field)}: {one.expected}".removeprefix(": ") for one in problems[:MOST_ERRORS]
    ]
    message = f"Invalid arguments supplied: {'; '.join(texts)}"
    return dialect.error(HTTPStatus.BAD_REQUEST, dialects.INVALID_ARGUMENTS, message)


def empty_field(name: str, dialect: V41, code: int = dialects.EMPTY_FIELD) -> Response:
    """Return the refusal of a call without a field."""
    message = f"Field {name} is required but seems to be empty."
    return dialect.error(HTTPStatus.BAD_REQUEST, code, message)
