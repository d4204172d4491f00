"""`POST /v1/jobs`: one job, an array of jobs, or JSON lines. A job is acknowledged only once Redis has it."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json
from starlette.responses import Response

from gaugepost.errors import IdempotencyConflict, InvalidJob
from gaugepost.ledger.api_keys import Scope
from gaugepost_ops.web.bodies import MAX_ARRAY_BODY, MAX_JOB_BODY, read_body
from gaugepost_ops.web.gateway import header
from gaugepost_ops.web.job_lines import JobLines
from gaugepost_ops.web.json_jobs import parse_array, parse_one, permitted
from gaugepost_ops.web.problems import Refused, invalid

if TYPE_CHECKING:
    from starlette.types import Receive
    from starlette.types import Scope as RequestScope

    from gaugepost.ledger import Accepted, Entry
    from gaugepost_ops.web.callers import Caller
    from gaugepost_ops.web.gateway import Gateway

JSON = "application/json"
JSON_LINES = "application/x-ndjson"
_EACH_ITS_OWN = " Idempotency-Key: give each job its own idempotency_key"


async def enqueue(gateway: Gateway, request: RequestScope, receive: Receive) -> Response:
    """Return the answer to `POST /v1/jobs`."""
    caller = await gateway.caller(request, Scope.ENQUEUE)
    kind = (header(request, b"content-type") or "").partition(";")[0].strip().lower()
    key = _idempotency_key(request)
    if kind == JSON_LINES:
        if key is not None:
            raise Refused(HTTPStatus.BAD_REQUEST, "lines have no header" + _EACH_ITS_OWN)
        return JobLines(gateway, caller)
    if kind != JSON:
        expected = f"expected the Content-Type {JSON} or {JSON_LINES}"
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, expected)
    body = await read_body(request, receive, MAX_ARRAY_BODY)
    if body.lstrip()[:1] == b"[":
        return await _array(gateway, caller, body, key)
    return await _one(gateway, caller, body, key)


def _idempotency_key(request: RequestScope) -> str | None:
    """Return the header Idempotency-Key. Raises Refused if it is there twice, or could be read in two ways."""
    found = [value for name, value in request["headers"] if name == b"idempotency-key"]
    if len(found) > 1:
        raise Refused(HTTPStatus.BAD_REQUEST, "expected the header Idempotency-Key only once")
    if found and not found[0].isascii():
        expected = "expected ASCII in the header Idempotency-Key: send another key in the field idempotency_key"
        raise Refused(HTTPStatus.BAD_REQUEST, expected)
    return found[0].decode() if found else None


async def _one(gateway: Gateway, caller: Caller, body: bytes, key: str | None) -> Response:
    if len(body) > MAX_JOB_BODY:
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"expected a job of at most {MAX_JOB_BODY:,} bytes")
    job = permitted(parse_one(body), caller, gateway.settings, key)
    entry = await gateway.store.entry_of(job)
    accepted = await gateway.accept_one(entry)
    if accepted.conflict:
        raise IdempotencyConflict(accepted.id)
    status = HTTPStatus.OK if accepted.duplicate else HTTPStatus.CREATED
    return Response(to_json(row(entry, accepted)), status, {"Location": f"/v1/jobs/{accepted.id}"}, media_type=JSON)


async def _array(gateway: Gateway, caller: Caller, body: bytes, key: str | None) -> Response:
    """Store all jobs of an array in one script, or none. So they are all of one region."""
    if key is not None:
        raise Refused(HTTPStatus.BAD_REQUEST, "an array has no header" + _EACH_ITS_OWN)
    entries, wrong = [], []
    jobs = parse_array(body)
    for index, job in enumerate(jobs):
        try:
            entries.append(await gateway.store.entry_of(permitted(job, caller, gateway.settings)))
        except InvalidJob as error:
            wrong.append((index, error))
    if wrong:
        raise invalid(wrong)
    if len(regions := {job.region for job in jobs}) > 1:
        detail = f"expected jobs of one region in an array, not of {', '.join(sorted(regions))}"
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, f"nothing was stored: {detail}", errors=[])
    accepted = await gateway.store.accept(jobs[0].region, entries, no_conflict=True)
    return Response(to_json([row(*pair) for pair in zip(entries, accepted, strict=True)]), media_type=JSON)


def row(entry: Entry, accepted: Accepted) -> dict[str, Any]:
    """Return what a caller gets for an accepted job."""
    return {
        "id": accepted.id,
        "region": entry.job.region,
        "kind": entry.job.kind,
        "state": accepted.state,
        "duplicate": accepted.duplicate,
        "warnings": entry.warnings,
    }
