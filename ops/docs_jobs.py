"""Generate the tables of docs/jobs.md from the job models: fields, limits, defaults, examples."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any

from gaugepost.jobs import JOBS
from gaugepost.jobs.base import JobBase
from gaugepost.regions import Region

if TYPE_CHECKING:
    from pydantic import BaseModel

HEAD = ["| field | what it takes | default | what it is |", "| --- | --- | --- | --- |"]
RESULT_HEAD = ["| field of the result | type | what it is |", "| --- | --- | --- |"]

EXAMPLES: dict[str, dict[str, Any]] = {
    "record": {"configuration": "5350…", "record": {"Account Name": "ACME", "Email": "joe.doe@example.com"}},
    "personal_link": {"configuration": "5350…", "record": {"Email": "joe.doe@example.com"}},
    "close_loop": {"number_customergauge": "53499", "status": "progress", "note": "will call"},
    "response": {"fields": {"Email": "lee@example.net"}, "net_promoter_score": 9},
    "file": {"family": "contact", "path": "exports/contacts.csv"},
    "file_delete": {"upload_id": 12},
}
_WORDS = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "object": "object, not empty",
}
_INTERNAL = frozenset({"kind", "stored"})
"""Internal fields, which callers never set."""


def common() -> str:
    """Return the table of the fields that all kinds have."""
    return "\n".join([*HEAD, *(_row(name, JobBase) for name in JobBase.model_fields if name not in _INTERNAL)])


def kinds() -> str:
    """Return a section for each kind: description, example, own fields, result."""
    return "\n\n".join(_kind(kind, model) for kind, model in JOBS.items())


def _kind(kind: str, model: type[JobBase]) -> str:
    example = json.dumps({"kind": kind, "region": "eu"} | EXAMPLES[kind], ensure_ascii=False)
    own = [name for name in model.model_fields if name not in _INTERNAL and _is_own(name, model)]
    rows = "\n".join([*HEAD, *(_row(name, model) for name in own)])
    parts = [f"## `{kind}`", inspect.getdoc(model) or "", f"```json\n{example}\n```", rows]
    return "\n\n".join([*parts, _result(model)])


def _result(model: type[JobBase]) -> str:
    """Return the table of the fields of `result()`."""
    result: type[BaseModel] = type(model.read_result(_ANY_RESULT))
    if not result.model_fields:
        return f"Its result has no fields. {inspect.getdoc(result)}"
    rows = (
        f"| `{name}` | {_type(name, result)} | {field.description} |" for name, field in result.model_fields.items()
    )
    return "\n".join([*RESULT_HEAD, *rows])


_ANY_RESULT = {"survey_link": "", "survey_link_short": "", "status": True}


def _is_own(name: str, model: type[JobBase]) -> bool:
    """Return whether the field, or its default, is specific to this kind."""
    return name not in JobBase.model_fields or model.model_fields[name].default != JobBase.model_fields[name].default


def _row(name: str, model: type[BaseModel]) -> str:
    field = model.model_fields[name]
    examples = ", ".join(f"`{json.dumps(one, ensure_ascii=False)}`" for one in field.examples or ())
    about = f"{field.description}{f' Example: {examples}' if examples else ''}"
    default = "required" if field.is_required() else _default(field.default)
    return f"| `{name}` | {_type(name, model)} | {default} | {about} |"


def _default(value: object) -> str:
    return "none" if value in (None, ()) else f"`{json.dumps(value)}`"


def _type(name: str, model: type[BaseModel]) -> str:
    return _describe(model.model_json_schema()["properties"][name])


def _describe(schema: dict[str, Any]) -> str:
    """Describe the type of a field in words."""
    if "anyOf" in schema:
        return " or ".join(_describe(one) for one in schema["anyOf"] if one.get("type") != "null")
    if "$ref" in schema or "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema.get("enum", tuple(Region)))
    if schema["type"] == "array":
        most = f", at most {schema['maxItems']} of them" if "maxItems" in schema else ""
        return f"list of {_describe(schema['items'])}{most}"
    return "date and time" if schema.get("format") == "date-time" else _WORDS[schema["type"]] + _limits(schema)


def _limits(schema: dict[str, Any]) -> str:
    """Describe the limits of a text or number."""
    if "maximum" in schema:
        return f" from {schema.get('minimum', 0)} to {schema['maximum']}"
    if "minimum" in schema:
        return f", at least {schema['minimum']}"
    if "maxLength" in schema:
        return f", at most {schema['maxLength']} characters"
    return ", not empty" if "minLength" in schema else ""
