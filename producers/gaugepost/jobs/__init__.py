"""The kinds of job: one module for each. `JOBS` maps a kind to its model; `AnyJob` is the union of all models."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from gaugepost.errors import InvalidJob, Problem
from gaugepost.jobs.base import JobBase
from gaugepost.jobs.close_loop import CloseLoop, CloseLoopResult
from gaugepost.jobs.file import File, FileResult
from gaugepost.jobs.file_delete import FileDelete, FileDeleteResult
from gaugepost.jobs.personal_link import PersonalLink, PersonalLinkResult
from gaugepost.jobs.record import Record, RecordResult
from gaugepost.jobs.refusal import MAX_DIGITS, refusal
from gaugepost.jobs.response import Response, ResponseResult

__all__ = [
    "JOBS",
    "AnyJob",
    "CloseLoop",
    "CloseLoopResult",
    "File",
    "FileDelete",
    "FileDeleteResult",
    "FileResult",
    "JobBase",
    "PersonalLink",
    "PersonalLinkResult",
    "Record",
    "RecordResult",
    "Response",
    "ResponseResult",
    "parse_job",
    "parse_job_json",
    "schema",
]

AnyJob = Annotated[
    Record | PersonalLink | CloseLoop | Response | File | FileDelete,
    Field(discriminator="kind"),
]

JOBS: dict[str, type[JobBase]] = {
    "record": Record,
    "personal_link": PersonalLink,
    "close_loop": CloseLoop,
    "response": Response,
    "file": File,
    "file_delete": FileDelete,
}
"""Kind → model. A worker does not start if a kind is missing here or has no endpoint in `gaugepost_tasks`."""

_ADAPTER: TypeAdapter[AnyJob] = TypeAdapter(AnyJob)


def parse_job(data: object) -> AnyJob:
    """Parse a job from a mapping of its `kind` and fields. Raises InvalidJob, with a problem for each wrong field."""
    try:
        return _ADAPTER.validate_python(data)
    except ValidationError as error:
        raise _refusal(error) from None


def parse_job_json(text: str | bytes) -> AnyJob:
    """Parse a job from one JSON object. Raises InvalidJob, with a problem for each wrong field."""
    try:
        return _ADAPTER.validate_json(text)
    except ValidationError as error:
        raise _refusal_with_field(text) or _refusal(error) from None


def _refusal_with_field(text: str | bytes) -> InvalidJob | None:
    """Parse again by Python's json module, to name the wrong field.

    pydantic's JSON parser refuses a number of thousands of digits and a lone surrogate as "not JSON", without a field.
    """
    try:
        parse_job(json.loads(text, parse_int=_shortened))
    except InvalidJob as refusal:
        return refusal
    except (ValueError, RecursionError):
        return None
    return None


def _shortened(digits: str) -> int:
    """Parse a whole number. Cut a very long one to a length that is still refused, because Python cannot parse it."""
    return int(digits[: MAX_DIGITS + 2])


def schema() -> dict[str, Any]:
    """Return one JSON Schema (draft 2020-12) for all kinds of job, discriminated by `kind`."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "gaugepost job"} | (
        _ADAPTER.json_schema()
    )


def _refusal(error: ValidationError) -> InvalidJob:
    """Convert pydantic's error; remove the kind that pydantic puts before each field's name."""
    details = error.errors(include_url=False, include_input=False)
    if details and details[0]["type"] == "json_invalid":
        return InvalidJob([Problem("", "expected one JSON object")])
    kind = next((str(found["loc"][0]) for found in details if found["loc"]), "")
    known = tuple(JOBS[kind].model_fields) if kind in JOBS else ()
    problems = refusal(error, known).problems
    return InvalidJob([Problem(one.field.removeprefix(kind).lstrip("."), one.expected) for one in problems])
