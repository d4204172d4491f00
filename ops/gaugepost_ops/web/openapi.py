"""The OpenAPI 3.1 description of the gateway. `make docs` writes it to docs/openapi.json, and a test compares them.

It is written by hand, not made by FastAPI: then a new version of FastAPI does not change what clients are made from.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from gaugepost.jobs import AnyJob
from gaugepost.regions import Region
from gaugepost.states import JobState
from gaugepost_ops.web import openapi_answers as answers
from gaugepost_ops.web import openapi_bulk
from gaugepost_ops.web import openapi_calls as calls
from gaugepost_ops.web.files import NewFile
from gaugepost_ops.web.holds import NewHold
from gaugepost_ops.web.job_changes import Resolution, Why
from gaugepost_ops.web.new_operation import NewOperation
from gaugepost_ops.web.webhooks import NewWebhook

if TYPE_CHECKING:
    from fastapi import FastAPI

Json = dict[str, Any]

_ABOUT = (
    "Enqueue jobs for CustomerGauge over HTTP, and ask what became of them. The drop-in front, "
    "`/customergauge/{region}/…`, takes CustomerGauge's own calls, which CustomerGauge's pages describe: "
    "docs/drop-in-front.md of gaugepost lists them."
)
_JOB = "#/components/schemas/{model}"
_PROBLEMS = {
    400: "The body is not JSON, or a parameter is wrong.",
    401: "No key, or one that is not valid.",
    403: "The key lacks the scope or the region.",
    404: "No job of the key's regions has this id.",
    408: "The body did not arrive in time.",
    409: "The idempotency key is that of a job with another kind or content, whose `id` this is. In an array, `index` "
    "is the place of the job that conflicts; `first` that of the earlier job, if it is in it. Or it is too late.",
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
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"key": []}],
        "paths": {
            "/v1/jobs": {"post": calls.enqueue(), "get": calls.list_jobs()},
            "/v1/jobs/{job_id}": {"get": calls.show()},
            "/v1/jobs/{job_id}/cancel": {"post": calls.cancel()},
            "/v1/jobs/{job_id}/replay": {"post": calls.change("replayJob", "Queue a dead or parked job again.", "Why")},
            "/v1/jobs/{job_id}/settle": {
                "post": calls.change("settleJob", "Record what became of a job whose answer was lost.", "Resolution")
            },
            "/v1/batches/{name}": {"get": calls.batch()},
            **openapi_bulk.paths(),
            "/v1/holds": {"get": calls.holds(), "post": calls.open_hold()},
            "/v1/holds/{hold_id}": {"delete": calls.lift_hold()},
            "/v1/webhooks": {"get": calls.webhooks(), "post": calls.add_webhook()},
            "/v1/webhooks/{webhook_id}": {"delete": calls.remove_webhook()},
            "/v1/status": {"get": calls.status()},
            "/v1/uploads": {"get": calls.uploads()},
            "/healthz": {
                "get": calls.probe("healthz", "Whether the process is alive.", "text/plain", {"type": "string"})
            },
            "/readyz": {"get": calls.ready()},
            "/metrics": {"get": calls.probe("metrics", "Metrics for Prometheus.", "text/plain", {"type": "string"})},
            "/docs": {"get": calls.probe("docs", "This description as a page.", "text/html", {"type": "string"})},
            "/docs/style.css": {"get": calls.probe("docsStyle", "Its style sheet.", "text/css", {"type": "string"})},
            "/openapi.json": {
                "get": calls.probe("openapi", "This description.", "application/json", {"type": "object"})
            },
        },
        "components": {"schemas": _schemas(), "responses": _problems(), "securitySchemes": _keys()},
    }


def _keys() -> Json:
    about = "A key of `gaugepost keys create`."
    return {"key": {"type": "http", "scheme": "bearer", "bearerFormat": "gp_…", "description": about}}


def _schemas() -> Json:
    job = TypeAdapter(AnyJob).json_schema(ref_template=_JOB)
    schemas: Json = job.pop("$defs")
    models = (NewHold, NewWebhook, Why, Resolution, NewFile, NewOperation)
    bodies = {model.__name__: model.model_json_schema(ref_template=_JOB) for model in models}
    for body in bodies.values():
        schemas |= body.pop("$defs", {})
    openapi_bulk.add_file(bodies["NewFile"])
    return schemas | {"Job": job} | bodies | _answers()


def _answers() -> Json:
    text, flag = {"type": "string"}, {"type": "boolean"}
    state = {"type": "string", "enum": [str(state) for state in JobState]}
    region = {"type": "string", "enum": [str(region) for region in Region]}
    warnings = {"type": "array", "items": text}
    errors = {
        "type": "array",
        "items": calls.record(
            {"index": {"type": "integer"}, "id": text, "field": text, "message": text}, "field", "message"
        ),
    }
    accepted: Json = {"id": text, "region": region, "kind": text, "state": state, "duplicate": flag}
    line: Json = {"line": {"type": "integer"}, "id": text, "state": state, "duplicate": flag, "conflict": flag}
    problem: Json = {"type": text, "title": text, "status": {"type": "integer"}, "detail": text, "errors": errors}
    places = {"index": {"type": "integer"}, "first": {"type": "integer"}}
    return {
        "Accepted": calls.record(accepted | {"warnings": warnings}, *accepted, "warnings"),
        "Line": calls.record(line | {"warnings": warnings, "errors": errors, "problem": calls.ref("Problem")}, "line"),
        "Problem": calls.record(problem | {"id": text, **places}, "type", "title", "status", "detail"),
        "Readiness": calls.record({"regions": {"type": "object", "additionalProperties": text}}, "regions"),
    } | answers.schemas()


def _problems() -> Json:
    problem = calls.content(calls.ref("Problem"), "application/problem+json")
    after = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}}
    return {
        f"Problem{status}": {"description": about, "content": problem}
        | ({"headers": after} if status in {429, 503} else {})
        for status, about in _PROBLEMS.items()
    }


def add_openapi(api: FastAPI) -> None:
    """Serve the description at /openapi.json."""
    found = description()
    api.openapi = lambda: found  # type: ignore[method-assign]
