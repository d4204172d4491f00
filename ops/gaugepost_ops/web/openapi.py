"""The OpenAPI 3.1 description of the gateway. `make docs` writes it to docs/openapi.json, and a test compares them.

It is written by hand, not made by FastAPI: then a new version of FastAPI does not change what clients are made from.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from gaugepost.jobs import JOBS, AnyJob
from gaugepost.regions import Region
from gaugepost.states import JobState
from gaugepost.verdict import Verdict
from gaugepost_ops.web.listing import MOST_LISTED
from gaugepost_ops.web.operating import NewHold

if TYPE_CHECKING:
    from enum import StrEnum

    from fastapi import FastAPI

Json = dict[str, Any]

_JOB = "#/components/schemas/{model}"
_LINES = "application/x-ndjson"
_PROBLEMS = {
    400: "The body is not JSON, or a parameter is wrong.",
    401: "No key, or one that is not valid.",
    403: "The key lacks the scope or the region.",
    404: "No job of the key's regions has this id.",
    408: "The body did not arrive in time.",
    409: "The idempotency key was used for a job with another kind or content, whose `id` this is; or it is too late.",
    413: "The body is too long.",
    415: "Another Content-Type.",
    422: "A job is invalid; `errors` names its fields. Nothing was stored.",
    429: "The rate of the key is used up; see the header Retry-After.",
    503: "Redis cannot be reached, takes no writes, or the backlog is full; see the header Retry-After.",
}


def description() -> Json:
    """Return the description."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "gaugepost gateway",
            "version": version("gaugepost"),
            "description": "Enqueue jobs for CustomerGauge over HTTP, and ask what became of them.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"key": []}],
        "paths": {
            "/v1/jobs": {"post": _enqueue(), "get": _list()},
            "/v1/jobs/{job_id}": {"get": _show()},
            "/v1/jobs/{job_id}/cancel": {"post": _cancel()},
            "/v1/holds": {"get": _holds(), "post": _open_hold()},
            "/v1/holds/{hold_id}": {"delete": _lift_hold()},
            "/v1/status": {"get": _rows("status", "regions", "Show each region: jobs by state, holds, workers.")},
            "/v1/uploads": {"get": _rows("uploads", "lanes", "Show the upload lanes, and when each file starts.")},
            "/healthz": {"get": _probe("healthz", "Whether the process is alive.", "text/plain", {"type": "string"})},
            "/readyz": {"get": _ready()},
            "/metrics": {"get": _probe("metrics", "Metrics for Prometheus.", "text/plain", {"type": "string"})},
            "/docs": {"get": _probe("docs", "This description as a page.", "text/html", {"type": "string"})},
            "/docs/style.css": {"get": _probe("docsStyle", "Its style sheet.", "text/css", {"type": "string"})},
            "/openapi.json": {"get": _probe("openapi", "This description.", "application/json", {"type": "object"})},
        },
        "components": {"schemas": _schemas(), "responses": _problems(), "securitySchemes": _keys()},
    }


def _keys() -> Json:
    about = "A key of `gaugepost keys create`."
    return {"key": {"type": "http", "scheme": "bearer", "bearerFormat": "gp_…", "description": about}}


def _schemas() -> Json:
    job = TypeAdapter(AnyJob).json_schema(ref_template=_JOB)
    schemas: Json = job.pop("$defs")
    hold = NewHold.model_json_schema(ref_template=_JOB)
    hold.pop("$defs", None)
    return schemas | {"Job": job, "NewHold": hold} | _answers()


def _answers() -> Json:
    text, flag = {"type": "string"}, {"type": "boolean"}
    state = {"type": "string", "enum": [str(state) for state in JobState]}
    region = {"type": "string", "enum": [str(region) for region in Region]}
    warnings = {"type": "array", "items": text}
    errors = {
        "type": "array",
        "items": _object({"index": {"type": "integer"}, "field": text, "message": text}, "field", "message"),
    }
    accepted: Json = {"id": text, "region": region, "kind": text, "state": state, "duplicate": flag}
    line: Json = {"line": {"type": "integer"}, "id": text, "state": state, "duplicate": flag, "conflict": flag}
    problem: Json = {"type": text, "title": text, "status": {"type": "integer"}, "detail": text, "errors": errors}
    shown = {"id": text, "kind": text, "region": region, "state": state, "attempts": {"type": "array"}}
    return {
        "Accepted": _object(accepted | {"warnings": warnings, "conflict": flag}, *accepted, "warnings"),
        "Line": _object(line | {"warnings": warnings, "errors": errors, "problem": _ref("Problem")}, "line"),
        "Problem": _object(problem | {"id": text}, "type", "title", "status", "detail"),
        "ShownJob": _object(shown | {"result": {"type": ["object", "null"]}}, *shown),
        "Readiness": _object({"regions": {"type": "object", "additionalProperties": text}}, "regions"),
    }


def _object(properties: Json, *required: str) -> Json:
    return {"type": "object", "properties": properties, "required": list(required)}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _array(schema: Json) -> Json:
    return {"type": "array", "items": schema, "minItems": 1, "maxItems": 1_000}


def _content(schema: Json, kind: str = "application/json") -> Json:
    return {kind: {"schema": schema}}


def _problems() -> Json:
    problem = _content(_ref("Problem"), "application/problem+json")
    after = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
    return {
        f"Problem{status}": {"description": about, "content": problem}
        | ({"headers": after} if status in {429, 503} else {})
        for status, about in _PROBLEMS.items()
    }


def _refusals(*statuses: int) -> Json:
    return {str(status): {"$ref": f"#/components/responses/Problem{status}"} for status in statuses}


def _enqueue() -> Json:
    one, many = _ref("Job"), _array(_ref("Job"))
    taken, lines = _ref("Accepted"), {"type": "string", "description": "A `Line` for each line."}
    return {
        "operationId": "enqueue",
        "summary": "Enqueue one job, an array of jobs of one region (all or nothing), or JSON lines.",
        "description": "Scope `enqueue`. An answer of 200 or 201 means that Redis has the job. JSON lines: a line for "
        "each line, while you send; read while you write.",
        "parameters": [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "description": "For one job: the same as its field `idempotency_key`.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 200},
            }
        ],
        "requestBody": {
            "required": True,
            "content": _content({"anyOf": [one, many]}) | _content({"type": "string"}, _LINES),
        },
        "responses": {
            "200": {
                "description": "A duplicate of an earlier job; all jobs of an array; or the answers to JSON lines.",
                "content": _content({"anyOf": [taken, _array(taken)]}) | _content(lines, _LINES),
            },
            "201": {
                "description": "The job is stored.",
                "headers": {"Location": {"description": "Path of the job.", "schema": {"type": "string"}}},
                "content": _content(taken),
            },
        }
        | _refusals(400, 401, 403, 408, 409, 413, 415, 422, 429, 503),
    }


def _show() -> Json:
    wait = {"type": "integer", "minimum": 0, "maximum": 60, "default": 0}
    about = "Answer when the job has ended, or after so many seconds."
    return {
        "operationId": "showJob",
        "summary": "Show everything about one job, without personal data.",
        "description": "Scope `read`. The same object as `gaugepost job ID --json`.",
        "parameters": [
            {"name": "job_id", "in": "path", "required": True, "schema": {"type": "string"}},
            {"name": "wait", "in": "query", "description": about, "schema": wait},
        ],
        "responses": {"200": {"description": "The job.", "content": _content(_ref("ShownJob"))}}
        | _refusals(400, 401, 403, 404, 429, 503),
    }


def _parameter(name: str, schema: Json, about: str = "", where: str = "query") -> Json:
    found: Json = {"name": name, "in": where, "schema": schema}
    return found | ({"description": about} if about else {}) | ({"required": True} if where == "path" else {})


def _text() -> Json:
    return {"type": "string", "minLength": 1, "maxLength": 300}


def _one_of(values: type[StrEnum]) -> Json:
    return {"type": "string", "enum": [str(value) for value in values]}


def _list() -> Json:
    time = "2026-11-22T18:00+01:00, or a duration ago: 2h, 3d"
    texts = ("configuration", "source", "label", "key", "case", "email", "phone")
    about = {"key": "Idempotency key.", "configuration": "Its reference, or its alias.", "case": "Number of a case."}
    limit = {"type": "integer", "minimum": 1, "maximum": MOST_LISTED, "default": 50}
    more = {"unindexed": {"type": "integer"}, "not_asked": {"type": "array", "items": {"type": "string"}}}
    rows = {"jobs": {"type": "array", "items": _ref("ShownJob")}, "next": {"type": ["string", "null"]}} | more
    return {
        "operationId": "listJobs",
        "summary": "List jobs, a page at a time, without personal data.",
        "description": "Scope `read`. With `key`, `label`, `case`, `email` or `phone`: newest first, whatever their "
        "state. Else by state, open ones first. A call looks at 20,000 jobs at most: `next` says where to continue.",
        "parameters": [
            _parameter("state", _one_of(JobState)),
            _parameter("region", _one_of(Region)),
            _parameter("kind", {"type": "string", "enum": list(JOBS)}),
            _parameter("verdict", _one_of(Verdict), "The last one of the job."),
            *(_parameter(name, _text(), about.get(name, "")) for name in texts),
            _parameter("since", _text(), time),
            _parameter("until", _text(), time),
            _parameter("limit", limit),
            _parameter("cursor", _text(), "The `next` of the page before."),
        ],
        "responses": {"200": {"description": "A page.", "content": _content(_object(rows, "jobs", "next"))}}
        | _refusals(400, 401, 403, 422, 429, 503),
    }


def _cancel() -> Json:
    return {
        "operationId": "cancelJob",
        "summary": "Cancel a job that no worker has sent.",
        "description": "Scope `operate`; or `enqueue`, for jobs of the key's own source.",
        "parameters": [_parameter("job_id", {"type": "string"}, where="path")],
        "responses": {"200": {"description": "The job, cancelled.", "content": _content(_ref("ShownJob"))}}
        | _refusals(401, 403, 404, 409, 429, 503),
    }


def _rows(name: str, rows: str, about: str) -> Json:
    row = {rows: {"type": "array", "items": {"type": "object"}}}
    away = {"not_asked": {"type": "array", "items": {"type": "string"}}}
    return {
        "operationId": name,
        "summary": about,
        "description": "Scope `read`.",
        "parameters": [_parameter("region", _one_of(Region))],
        "responses": {"200": {"description": about, "content": _content(_object(row | away, rows))}}
        | _refusals(400, 401, 403, 429, 503),
    }


def _holds() -> Json:
    return _rows("listHolds", "holds", "List all holds: why, by whom, until when, and how many jobs wait.")


def _open_hold() -> Json:
    return {
        "operationId": "openHold",
        "summary": "Stop sending to a region, a configuration, or the kinds that need some credentials or endpoints.",
        "description": "Scope `operate`.",
        "requestBody": {"required": True, "content": _content(_ref("NewHold"))},
        "responses": {"201": {"description": "The hold.", "content": _content({"type": "object"})}}
        | _refusals(400, 401, 403, 413, 422, 429, 503),
    }


def _lift_hold() -> Json:
    about = "The `id` of `GET /v1/holds`: `eu`, `eu:configuration:…`."
    return {
        "operationId": "liftHold",
        "summary": "Lift a hold, of a person or of gaugepost itself. Its jobs go on in order.",
        "description": "Scope `operate`.",
        "parameters": [_parameter("hold_id", {"type": "string"}, about, "path")],
        "responses": {"204": {"description": "It is lifted."}} | _refusals(401, 403, 404, 429, 503),
    }


def _probe(name: str, about: str, kind: str, schema: Json) -> Json:
    answers = {"200": {"description": about, "content": _content(schema, kind)}}
    return {"operationId": name, "summary": about, "security": [], "responses": answers}


def _ready() -> Json:
    about = "Whether it takes jobs: the Redis of at least one region accepts writes."
    answer = {"description": about, "content": _content(_ref("Readiness"))}
    return {
        "operationId": "readyz",
        "summary": about,
        "security": [],
        "responses": {"200": answer, "503": answer},
    }


def add_openapi(api: FastAPI) -> None:
    """Serve the description at /openapi.json."""
    found = description()
    api.openapi = lambda: found  # type: ignore[method-assign]
