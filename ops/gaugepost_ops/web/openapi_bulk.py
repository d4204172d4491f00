"""Files, operations, batches and the audit trail in the OpenAPI description."""

from __future__ import annotations

from typing import Any

from gaugepost.regions import Region
from gaugepost_ops.web.listing import MOST_LISTED
from gaugepost_ops.web.openapi_calls import content, one_of, parameter, record, ref, refusals, text

Json = dict[str, Any]

_AWAY: Json = {"not_asked": {"type": "array", "items": {"type": "string"}}}


def paths() -> Json:
    """Return the paths of this module."""
    return {
        **_files(),
        "/v1/batches": {
            "get": _rows("Batch", "listBatches", "read", "batches", "List the batches, the last changed first.")
        },
        "/v1/operations": {
            "get": _rows(
                "Operation", "listOperations", "operate", "operations", "List the newest operations of each region."
            ),
            "post": _start(),
        },
        "/v1/operations/{operation_id}": {"get": _of_operation("showOperation", "Show an operation.")},
        "/v1/operations/{operation_id}/pause": {"post": _of_operation("pauseOperation", "Pause an operation.", 409)},
        "/v1/operations/{operation_id}/resume": {
            "post": _of_operation("resumeOperation", "Let a paused operation go on.", 409)
        },
        "/v1/operations/{operation_id}/abort": {
            "post": _of_operation("abortOperation", "End an operation for good.", 409)
        },
        "/v1/audit": {"get": _audit()},
    }


def _files() -> Json:
    return {
        "/v1/files": {"post": post_file()},
        "/v1/files/{set_id}": {
            "get": _of_set(
                "FileSet", "showFile", "read", "Show a file: its parts, their forecast starts, the result of its rows."
            )
        },
        "/v1/files/{set_id}/rejects": {"get": _rejects()},
        "/v1/files/{set_id}/cancel": {
            "post": _of_set("CancelledFile", "cancelFile", "operate", "Cancel the parts that were not sent.", 409)
        },
        "/v1/files/{set_id}/undo": {
            "post": _of_set(
                "UndoneFile",
                "undoFile",
                "operate",
                "Cancel the parts that were not sent; delete the others, and their responses, at CustomerGauge.",
                409,
            )
        },
    }


def add_file(form: Json) -> None:
    """Add the part `file` to the schema of the form, in place: its schema refuses all other names."""
    about = "CSV, XLS, XLSX or XML, up to 200 MB."
    form["properties"]["file"] = {"type": "string", "format": "binary", "description": about}
    form["required"].append("file")


def post_file() -> Json:
    """Describe `POST /v1/files`."""
    part = {"id": {"type": ["string", "null"]}, "part": {"type": "integer"}, "due": {"type": ["string", "null"]}}
    parts = {"type": "array", "items": record(part, *part)}
    answer = record({"id": {"type": ["string", "null"]}, "rows": {"type": "integer"}, "parts": parts}, "id", "parts")
    return {
        "operationId": "postFile",
        "summary": "Queue a file of any length: check it, split it, and queue its parts as one set.",
        "description": "Scope `enqueue`. 409 with its `id` if the content was uploaded in the last 30 days.",
        "requestBody": {"required": True, "content": content(ref("NewFile"), "multipart/form-data")},
        "responses": {
            "200": {"description": "With `dry_run`: the parts; nothing is stored.", "content": content(answer)},
            "201": {
                "description": "All parts are stored.",
                "headers": {"Location": {"description": "Path of the set.", "schema": {"type": "string"}}},
                "content": content(answer),
            },
        }
        | refusals(400, 401, 403, 408, 409, 413, 415, 422, 429, 503),
    }


def _of_set(answer: str, name: str, scope: str, about: str, *more: int) -> Json:
    return _of_one(ref(answer), name, scope, about, "set_id", *more)


def _of_operation(name: str, about: str, *more: int) -> Json:
    return _of_one(ref("Operation"), name, "operate", about, "operation_id", *more)


def _of_one(answer: Json, name: str, scope: str, about: str, id_name: str, *more: int) -> Json:
    return {
        "operationId": name,
        "summary": about,
        "description": f"Scope `{scope}`.",
        "parameters": [parameter(id_name, {"type": "string"}, where="path")],
        "responses": {"200": {"description": about, "content": content(answer)}}
        | refusals(401, 403, 404, *more, 429, 503),
    }


def _rejects() -> Json:
    about = "Get the rows that CustomerGauge refused, as one file to correct and upload again."
    reasons = parameter("reasons", {"type": "boolean"}, "Add a last column with CustomerGauge's reason for each row.")
    binary = {"type": "string", "format": "binary"}
    kinds = ("text/csv", "application/xml", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")
    answer = {kind: {"schema": binary} for kind in kinds}
    return {
        "operationId": "getRejects",
        "summary": about,
        "description": "Scope `read`. The rows have personal data: each call is in the audit trail.",
        "parameters": [parameter("set_id", {"type": "string"}, where="path"), reasons],
        "responses": {"200": {"description": "The rows, with their header.", "content": answer}}
        | refusals(400, 401, 403, 404, 429, 503),
    }


def _rows(schema: str, name: str, scope: str, rows: str, about: str) -> Json:
    found = record({rows: {"type": "array", "items": ref(schema)}} | _AWAY, rows)
    return {
        "operationId": name,
        "summary": about,
        "description": f"Scope `{scope}`.",
        "parameters": [parameter("region", one_of(Region))],
        "responses": {"200": {"description": about, "content": content(found)}} | refusals(400, 401, 403, 429, 503),
    }


def _start() -> Json:
    about = "Start an operation: workers replay, cancel or settle all jobs that match a filter."
    return {
        "operationId": "startOperation",
        "summary": about,
        "description": "Scope `operate`. With `dry_run`: the jobs by groups, and nothing is changed.",
        "requestBody": {"required": True, "content": content(ref("NewOperation"))},
        "responses": {
            "200": {"description": "With `dry_run`: the groups.", "content": content(ref("DryRun"))},
            "201": {
                "description": "The operation.",
                "headers": {"Location": {"description": "Its path.", "schema": {"type": "string"}}},
                "content": content(ref("Operation")),
            },
        }
        | refusals(400, 401, 403, 408, 413, 422, 429, 503),
    }


def _audit() -> Json:
    limit = {"type": "integer", "minimum": 1, "maximum": MOST_LISTED, "default": 50}
    time = "2026-11-22T18:00+01:00, or a duration ago: 2h, 3d"
    entries = {"type": "array", "items": ref("AuditEntry")}
    answer = record({"entries": entries, "next": {"type": ["string", "null"]}} | _AWAY, "entries", "next")
    return {
        "operationId": "listAudit",
        "summary": "List who changed what, or saw personal data: newest first, a page at a time.",
        "description": "Scope `operate`. The rows of `gaugepost audit --json`. A call looks at 20,000 entries at most.",
        "parameters": [
            parameter("since", text(), time),
            parameter("until", text(), time),
            parameter("actor", text(), "user@host, user, or the name of a key."),
            parameter("action", text(), "Such as `replay`."),
            parameter("region", one_of(Region)),
            parameter("job", text(), "A job, an upload or an operation that the entry names."),
            parameter("limit", limit),
            parameter("cursor", text(), "The `next` of the page before."),
        ],
        "responses": {"200": {"description": "A page.", "content": content(answer)}}
        | refusals(400, 401, 403, 429, 503),
    }
