"""The calls of the gateway in its OpenAPI description: parameters, bodies and answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gaugepost.jobs import JOBS
from gaugepost.regions import Region
from gaugepost.states import JobState
from gaugepost.verdict import Verdict
from gaugepost_ops.web.listing import MOST_LISTED

if TYPE_CHECKING:
    from enum import StrEnum

Json = dict[str, Any]

_LINES = "application/x-ndjson"


def record(properties: Json, *required: str) -> Json:
    return {"type": "object", "properties": properties, "required": list(required)}


def ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def array(schema: Json) -> Json:
    return {"type": "array", "items": schema, "minItems": 1, "maxItems": 1_000}


def content(schema: Json, kind: str = "application/json") -> Json:
    return {kind: {"schema": schema}}


def refusals(*statuses: int) -> Json:
    return {str(status): {"$ref": f"#/components/responses/Problem{status}"} for status in statuses}


def enqueue() -> Json:
    one, many = ref("Job"), array(ref("Job"))
    taken, lines = ref("Accepted"), {"type": "string", "description": "A `Line` for each line."}
    location = {"Location": {"description": "Path of the job.", "schema": {"type": "string"}}}
    return {
        "operationId": "enqueue",
        "summary": "Enqueue one job, an array of jobs of one region (all or nothing), or JSON lines.",
        "description": "Scope `enqueue`. An answer of 200 or 201 means that Redis has the job. JSON lines: a line for "
        "each line, while you send; read while you write.",
        "parameters": [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "description": "For one job only: the same as its field `idempotency_key`. ASCII, once.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 200},
            }
        ],
        "requestBody": {
            "required": True,
            "content": content({"anyOf": [one, many]}) | content({"type": "string"}, _LINES),
        },
        "responses": {
            "200": {
                "description": "A duplicate of an earlier job; all jobs of an array; or the answers to JSON lines.",
                "headers": location,
                "content": content({"anyOf": [taken, array(taken)]}) | content(lines, _LINES),
            },
            "201": {
                "description": "The job is stored.",
                "headers": location,
                "content": content(taken),
            },
        }
        | refusals(400, 401, 403, 408, 409, 413, 415, 422, 429, 503),
    }


def show() -> Json:
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
        "responses": {"200": {"description": "The job.", "content": content(ref("ShownJob"))}}
        | refusals(400, 401, 403, 404, 429, 503),
    }


def parameter(name: str, schema: Json, about: str = "", where: str = "query") -> Json:
    found: Json = {"name": name, "in": where, "schema": schema}
    return found | ({"description": about} if about else {}) | ({"required": True} if where == "path" else {})


def text() -> Json:
    return {"type": "string", "minLength": 1, "maxLength": 300}


def one_of(values: type[StrEnum]) -> Json:
    return {"type": "string", "enum": [str(value) for value in values]}


def list_jobs() -> Json:
    time = "2026-11-22T18:00+01:00, or a duration ago: 2h, 3d"
    texts = ("configuration", "source", "label", "batch", "key", "case", "email", "phone")
    about = {"key": "Idempotency key.", "configuration": "Its reference, or its alias.", "case": "Number of a case."}
    limit = {"type": "integer", "minimum": 1, "maximum": MOST_LISTED, "default": 50}
    more = {"unindexed": {"type": "integer"}, "not_asked": {"type": "array", "items": {"type": "string"}}}
    rows = {"jobs": {"type": "array", "items": ref("ShownJob")}, "next": {"type": ["string", "null"]}} | more
    return {
        "operationId": "listJobs",
        "summary": "List jobs, a page at a time, without personal data.",
        "description": "Scope `read`. With `key`, `label`, `batch`, `case`, `email` or `phone`: newest first, "
        "whatever their state. Else by state, open ones first. A call looks at 20,000 jobs at most: `next` says where "
        "to continue.",
        "parameters": [
            parameter("state", one_of(JobState)),
            parameter("region", one_of(Region)),
            parameter("kind", {"type": "string", "enum": list(JOBS)}),
            parameter("verdict", one_of(Verdict), "The last one of the job."),
            *(parameter(name, text(), about.get(name, "")) for name in texts),
            parameter("since", text(), time),
            parameter("until", text(), time),
            parameter("limit", limit),
            parameter("cursor", text(), "The `next` of the page before."),
        ],
        "responses": {"200": {"description": "A page.", "content": content(record(rows, "jobs", "next"))}}
        | refusals(400, 401, 403, 422, 429, 503),
    }


def cancel() -> Json:
    return {
        "operationId": "cancelJob",
        "summary": "Cancel a job that no worker has sent.",
        "description": "Scope `operate`; or `enqueue`, for jobs of the key's own source.",
        "parameters": [parameter("job_id", {"type": "string"}, where="path")],
        "responses": {"200": {"description": "The job, cancelled.", "content": content(ref("ShownJob"))}}
        | refusals(401, 403, 404, 409, 429, 503),
    }


def change(name: str, about: str, body: str) -> Json:
    return {
        "operationId": name,
        "summary": about,
        "description": "Scope `operate`.",
        "parameters": [parameter("job_id", {"type": "string"}, where="path")],
        "requestBody": {"required": body == "Resolution", "content": content(ref(body))},
        "responses": {"200": {"description": "The job.", "content": content(ref("ShownJob"))}}
        | refusals(400, 401, 403, 404, 409, 413, 422, 429, 503),
    }


def batch() -> Json:
    return {
        "operationId": "showBatch",
        "summary": "Show a batch: its jobs by state and verdict, warnings, rate, forecast, and its canary.",
        "description": "Scope `read`. The same object as `gaugepost batch NAME --json`; with `not_asked`, the regions "
        "that are away, if there are any.",
        "parameters": [parameter("name", {"type": "string"}, where="path")],
        "responses": {"200": {"description": "The batch.", "content": content(ref("Batch"))}}
        | refusals(401, 403, 404, 429, 503),
    }


def rows(schema: str, name: str, rows: str, about: str) -> Json:
    row = {rows: {"type": "array", "items": ref(schema)}}
    away = {"not_asked": {"type": "array", "items": {"type": "string"}}}
    return {
        "operationId": name,
        "summary": about,
        "description": "Scope `read`.",
        "parameters": [parameter("region", one_of(Region))],
        "responses": {"200": {"description": about, "content": content(record(row | away, rows))}}
        | refusals(400, 401, 403, 429, 503),
    }


def holds() -> Json:
    return rows("Hold", "listHolds", "holds", "List all holds: why, by whom, until when, and how many jobs wait.")


def status() -> Json:
    return rows("RegionStatus", "status", "regions", "Show each region: jobs by state, holds, workers.")


def uploads() -> Json:
    return rows("Lane", "uploads", "lanes", "Show the upload lanes, and when each file starts.")


def open_hold() -> Json:
    return {
        "operationId": "openHold",
        "summary": "Stop sending to a region, a configuration, or the kinds that need some credentials or endpoints.",
        "description": "Scope `operate`.",
        "requestBody": {"required": True, "content": content(ref("NewHold"))},
        "responses": {"201": {"description": "The hold.", "content": content(ref("Hold"))}}
        | refusals(400, 401, 403, 413, 422, 429, 503),
    }


def lift_hold() -> Json:
    about = "The `id` of `GET /v1/holds`: `eu`, `eu:configuration:…`."
    return {
        "operationId": "liftHold",
        "summary": "Lift a hold, of a person or of gaugepost itself. Its jobs go on in order.",
        "description": "Scope `operate`.",
        "parameters": [parameter("hold_id", {"type": "string"}, about, "path")],
        "responses": {"204": {"description": "It is lifted."}} | refusals(401, 403, 404, 429, 503),
    }


def webhooks() -> Json:
    about = "List the endpoints of webhooks, never their secrets: what each gets, whether it works, and what waits."
    return rows("Webhook", "listWebhooks", "webhooks", about) | {"description": "Scope `operate`."}


def add_webhook() -> Json:
    return {
        "operationId": "addWebhook",
        "summary": "Add an endpoint that gets an event when jobs end and holds open. Only this answer has its secret.",
        "description": "Scope `operate`.",
        "requestBody": {"required": True, "content": content(ref("NewWebhook"))},
        "responses": {"201": {"description": "The endpoint.", "content": content(ref("AddedWebhook"))}}
        | refusals(400, 401, 403, 409, 413, 422, 429, 503),
    }


def remove_webhook() -> Json:
    return {
        "operationId": "removeWebhook",
        "summary": "Remove an endpoint, with the events that wait for it.",
        "description": "Scope `operate`.",
        "parameters": [parameter("webhook_id", {"type": "string"}, where="path")],
        "responses": {"204": {"description": "It is removed."}} | refusals(401, 403, 404, 429, 503),
    }


def probe(name: str, about: str, kind: str, schema: Json) -> Json:
    answers = {"200": {"description": about, "content": content(schema, kind)}}
    return {"operationId": name, "summary": about, "security": [], "responses": answers}


def ready() -> Json:
    about = "Whether it takes jobs: the Redis of at least one region accepts writes."
    answer = {"description": about, "content": content(ref("Readiness"))}
    return {
        "operationId": "readyz",
        "summary": about,
        "security": [],
        "responses": {"200": answer, "503": answer},
    }
