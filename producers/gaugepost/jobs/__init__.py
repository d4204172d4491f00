"""The kinds of job: one module each, all of them in `JOBS`, one union of them in `AnyJob`."""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from gaugepost.errors import InvalidJob, Problem
from gaugepost.jobs.close_loop import CloseLoop, CloseLoopResult
from gaugepost.jobs.common import JobBase
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
"""Kind → model, written out: a kind that is missing here or among the handlers stops the boot."""

_ADAPTER: TypeAdapter[AnyJob] = TypeAdapter(AnyJob)


def parse_job(data: object) -> AnyJob:
    """Read a job from a mapping. Raises InvalidJob, with a problem per field."""
    try:
        return _ADAPTER.validate_python(data)
    except ValidationError as error:
        raise _refusal(error) from None


def parse_job_json(text: str | bytes) -> AnyJob:
    """Read a job from one JSON object. Raises InvalidJob, with a problem per field."""
    try:
        return _ADAPTER.validate_json(text)
    except ValidationError as error:
        raise _named(text) or _refusal(error) from None


def _named(text: str | bytes) -> InvalidJob | None:
    """Return the refusal with the name of the field where pydantic only says that a text is not JSON to it.

    It reads no number of thousands of digits and no lone surrogate. Python reads both.
    """
    try:
        parse_job(json.loads(text, parse_int=_whole))
    except InvalidJob as refusal:
        return refusal
    except (ValueError, RecursionError):
        return None
    return None


def _whole(digits: str) -> int:
    """Read a whole number; one that is too long as one that is just too long."""
    return int(digits[: MAX_DIGITS + 2])


def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of every job, discriminated by `kind`."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "gaugepost job"} | (
        _ADAPTER.json_schema()
    )


def _refusal(error: ValidationError) -> InvalidJob:
    """Name fields as the user wrote them: without the union's own tag in front."""
    details = error.errors(include_url=False, include_input=False)
    if details and details[0]["type"] == "json_invalid":
        return InvalidJob([Problem("", "expected one JSON object")])
    kind = next((str(found["loc"][0]) for found in details if found["loc"]), "")
    known = tuple(JOBS[kind].model_fields) if kind in JOBS else ()
    told = refusal(error, known).problems
    return InvalidJob([Problem(problem.field.removeprefix(kind).lstrip("."), problem.expected) for problem in told])
