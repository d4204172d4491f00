"""`POST /v1/jobs`: one job, an array of jobs, or JSON lines. A job is acknowledged only once Redis has it."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json
from starlette.responses import Response

from gaugepost.errors import IdempotencyConflict, InvalidJob
from gaugepost.ledger import Entry
from gaugepost.ledger.api_keys import Scope
from gaugepost_ops.web.bodies import MAX_ARRAY_BODY, MAX_JOB_BODY, read_body
from gaugepost_ops.web.job_lines import JobLines
from gaugepost_ops.web.json_jobs import parse_array, parse_one, permitted
from gaugepost_ops.web.large_bodies import BODIES
from gaugepost_ops.web.problems import Refused, invalid

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import Receive, Send
    from starlette.types import Scope as RequestScope

    from gaugepost.jobs import JobBase
    from gaugepost.ledger import Accepted
    from gaugepost_ops.web.callers import Caller
    from gaugepost_ops.web.gateway import Gateway

JSON = "application/json"
_JSON = JSON.encode()
JSON_LINES = "application/x-ndjson"
_EACH_ITS_OWN = " Idempotency-Key: give each job its own idempotency_key"


class _Stored(Response):
    """The answer for one job, without the general parts of Starlette's, which take longer than to make its JSON."""

    def __init__(self, body: bytes, accepted: Accepted) -> None:
        self.body = body
        self.status_code = 200 if accepted.duplicate else 201
        self.raw_headers = stored_headers(body, accepted)

    async def __call__(self, scope: RequestScope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body})


async def enqueue(gateway: Gateway, request: RequestScope, receive: Receive) -> Response:
    """Return the answer to `POST /v1/jobs`."""
    caller = await gateway.caller(request, Scope.ENQUEUE)
    kind, key = _of_head(request["headers"])
    if kind == JSON_LINES:
        if key is not None:
            raise Refused(HTTPStatus.BAD_REQUEST, "lines have no header" + _EACH_ITS_OWN)
        return JobLines(gateway, caller)
    if kind != JSON:
        expected = f"expected the Content-Type {JSON} or {JSON_LINES}"
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, expected)
    body = await read_body(request, receive, MAX_ARRAY_BODY)
    caller = await gateway.callers.again(caller)
    if body.lstrip()[:1] == b"[":
        return await _array(gateway, caller, body, key)
    return await _one(gateway, caller, body, key)


def _of_head(headers: Iterable[tuple[bytes, bytes]]) -> tuple[str, str | None]:
    """Return the media type and the header Idempotency-Key.

    Raises Refused if that is there twice, or could be read in two ways.
    """
    kind, key = b"", None
    for name, value in headers:
        if name == b"content-type":
            kind = kind or value
        elif name == b"idempotency-key":
            if key is not None:
                raise Refused(HTTPStatus.BAD_REQUEST, "expected the header Idempotency-Key only once")
            key = value
    if key is not None and not key.isascii():
        expected = "expected ASCII in the header Idempotency-Key: send another key in the field idempotency_key"
        raise Refused(HTTPStatus.BAD_REQUEST, expected)
    found = JSON if kind == _JSON else kind.decode("latin-1").partition(";")[0].strip().lower()
    return found, None if key is None else key.decode()


async def _one(gateway: Gateway, caller: Caller, body: bytes, key: str | None) -> Response:
    if len(body) > MAX_JOB_BODY:
        raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"expected a job of at most {MAX_JOB_BODY:,} bytes")
    entry = await BODIES.parse(body, lambda: _entry(gateway, caller, parse_one(body), key))
    accepted = await gateway.accept_one(entry)
    if accepted.conflict:
        raise IdempotencyConflict(accepted.id)
    return _Stored(stored_body(entry, accepted), accepted)


async def _array(gateway: Gateway, caller: Caller, body: bytes, key: str | None) -> Response:
    """Store all jobs of an array in one script, or none. So they are all of one region."""
    if key is not None:
        raise Refused(HTTPStatus.BAD_REQUEST, "an array has no header" + _EACH_ITS_OWN)
    entries = await BODIES.parse(body, lambda: _entries(gateway, caller, body))
    accepted = await gateway.store.accept(entries[0].job.region, entries, no_conflict=True)
    return Response(to_json([row(*pair) for pair in zip(entries, accepted, strict=True)]), media_type=JSON)


def _entry(gateway: Gateway, caller: Caller, job: JobBase, key: str | None = None) -> Entry:
    return Entry.of(permitted(job, caller, gateway.settings, key), gateway.store.mappings)


def _entries(gateway: Gateway, caller: Caller, body: bytes) -> list[Entry]:
    """Return the checked jobs of an array. Raises Refused."""
    entries, wrong = [], []
    for index, job in enumerate(parse_array(body)):
        try:
            entries.append(_entry(gateway, caller, job))
        except InvalidJob as error:
            wrong.append((index, error))
    if wrong:
        raise invalid(wrong)
    if len(regions := {entry.job.region for entry in entries}) > 1:
        detail = f"expected jobs of one region in an array, not of {', '.join(sorted(regions))}"
        raise Refused(HTTPStatus.UNPROCESSABLE_ENTITY, f"nothing was stored: {detail}", errors=[])
    return entries


def stored_body(entry: Entry, accepted: Accepted) -> bytes:
    """Return `row` as JSON. Written by hand it takes a tenth of the time; warnings are rare, and quote headings."""
    if entry.warnings:
        return to_json(row(entry, accepted))
    job = entry.job
    return (
        f'{{"id":"{accepted.id}","region":"{job.region}","kind":"{job.kind}","state":"{accepted.state}",'
        f'"duplicate":{"true" if accepted.duplicate else "false"},"warnings":[]}}'
    ).encode()


def stored_headers(body: bytes, accepted: Accepted) -> list[tuple[bytes, bytes]]:
    """Return the headers of the answer for one job."""
    return [
        (b"content-length", b"%d" % len(body)),
        (b"content-type", _JSON),
        (b"location", b"/v1/jobs/" + accepted.id.encode()),
    ]


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
