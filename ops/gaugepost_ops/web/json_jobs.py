"""Parse jobs from JSON, as `gaugepost enqueue` does: each key once, no NaN, no file of the gateway's machine."""

from __future__ import annotations

import codecs
import json
import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from gaugepost.admission import admit, check_region
from gaugepost.errors import InvalidJob, Problem
from gaugepost.jobs import File, parse_job, parse_job_json
from gaugepost.jobs.refusal import MAX_DIGITS
from gaugepost_ops.cli.jobs.json_lines import MAX_FILE_LINE, MAX_LINE
from gaugepost_ops.web.bodies import job_limit
from gaugepost_ops.web.problems import Refused, invalid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gaugepost.jobs import AnyJob, JobBase
    from gaugepost.settings import Settings
    from gaugepost_ops.web.callers import Caller

MOST_IN_ARRAY = 1_000
_EXPECTED = f"expected a job, or an array of 1 to {MOST_IN_ARRAY:,} jobs"
_SPACE = re.compile(r"[ \t\n\r]*")
REPEATED_KEY = "expected each key only once in an object"


class _NotJsonError(ValueError):
    """The text is no JSON, or no JSON that every reader reads alike. The message quotes nothing."""


_UNREADABLE = (json.JSONDecodeError, UnicodeDecodeError, RecursionError, _NotJsonError)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _NotJsonError(REPEATED_KEY)
    return found


def _no_constant(name: str) -> object:
    raise _NotJsonError(f"{name} is no JSON: send null, or leave the field out")


def _shortened(digits: str) -> int:
    return int(digits[: MAX_DIGITS + 2])


_STRICT = json.JSONDecoder(object_pairs_hook=_unique_keys, parse_constant=_no_constant, parse_int=_shortened)
"""Made once: to make it takes as long as to parse a job."""


def strict_json(body: bytes) -> Any:  # noqa: ANN401 - any JSON
    """Parse JSON in which each object has each key once. Raises Refused (400), which names the line and column."""
    try:
        return _STRICT.decode(body.decode())
    except _UNREADABLE as error:
        raise _unreadable(error) from None


def _unreadable(error: Exception) -> Refused:
    match error:
        case json.JSONDecodeError():
            why = f"{error.msg} at line {error.lineno}, column {error.colno}"
        case UnicodeDecodeError():
            why = f"byte {error.start + 1} is not UTF-8"
        case RecursionError():
            why = "it is nested too deeply"
        case _:
            why = str(error)
    return Refused(HTTPStatus.BAD_REQUEST, f"the body is not JSON that can be read: {why}")


def parse_one(body: bytes) -> AnyJob:
    """Parse one job. Raises Refused (400), InvalidJob."""
    try:
        job = parse_job_json(body)
    except InvalidJob:
        if not isinstance(strict_json(body), dict):
            raise Refused(HTTPStatus.BAD_REQUEST, _EXPECTED) from None
        raise
    strict_json(body)
    job_limit(body, has_content=isinstance(job, File) and bool(job.content_base64))
    return job


def parse_line(data: bytes | None, number: int) -> AnyJob:
    """Parse the job on a line; None: the line is too long. Raises InvalidJob."""
    if data is None:
        raise _too_long()
    data = data.removeprefix(codecs.BOM_UTF8) if number == 1 else data
    try:
        return parse_one(data)
    except Refused as error:
        if error.status is HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            raise _too_long() from None
        raise InvalidJob([Problem("", error.detail.replace("the body", "the line"))]) from None


def _too_long() -> InvalidJob:
    expected = f"expected a line of at most {MAX_LINE:,} bytes ({MAX_FILE_LINE:,} with content_base64)"
    return InvalidJob([Problem("", expected)])


def parse_array(body: bytes) -> list[AnyJob]:
    """Parse an array of jobs. Raises Refused: 400, 413 for too many jobs, 422 with the wrong fields of all jobs."""
    jobs, wrong = [], []
    for index, row in enumerate(_array_rows(body)):
        if index == MOST_IN_ARRAY:
            expected = f"expected at most {MOST_IN_ARRAY:,} jobs in an array: send more as application/x-ndjson"
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, expected)
        try:
            jobs.append(parse_job(row))
        except InvalidJob as error:
            wrong.append((index, error))
    if wrong:
        raise invalid(wrong)
    if not jobs:
        raise Refused(HTTPStatus.BAD_REQUEST, _EXPECTED)
    return jobs


def _array_rows(body: bytes) -> Iterator[object]:
    """Yield the elements of a JSON array one by one: an array of millions must not be in memory as a whole."""
    try:
        yield from _elements(body.decode())
    except _UNREADABLE as error:
        raise _unreadable(error) from None


def _elements(text: str) -> Iterator[object]:
    at = _past_space(text, _past_space(text, 0) + 1)
    if text[at : at + 1] == "]":
        at = _past_space(text, at + 1)
    else:
        delimiter = ","
        while delimiter == ",":
            row, at = _STRICT.raw_decode(text, _past_space(text, at))
            yield row
            at = _past_space(text, at)
            delimiter, at = text[at : at + 1], at + 1
        if delimiter != "]":
            raise json.JSONDecodeError("Expecting ',' delimiter", text, at - 1)
        at = _past_space(text, at)
    if at < len(text):
        raise json.JSONDecodeError("Extra data", text, at)


def _past_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def permitted(job: JobBase, caller: Caller, settings: Settings, key: str | None = None) -> JobBase:
    """Return the job as the caller may enqueue it. `key`: the header Idempotency-Key. Raises InvalidJob, Refused."""
    check_region(job.region, settings.regions)
    source = caller.key_for(job.region).source
    if isinstance(job, File) and job.path:
        raise InvalidJob([Problem("path", "not here: send the content as content_base64")])
    if key is not None and job.idempotency_key not in {None, key}:
        raise InvalidJob([Problem("idempotency_key", "expected the same as in the header Idempotency-Key")])
    found = job if key is None else admit(job, settings, key)
    return found if source is None or found.source == source else found.model_copy(update={"source": source})
