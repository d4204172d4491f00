"""Read bodies as CustomerGauge does. A body that cannot be read counts as empty: the answer then names its fields.

v7 and imports: JSON, or a form (`record[Email]=…`). v4.1: a form, with or without files.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from gaugepost.errors import InvalidJob, Problem
from gaugepost.files import PART_BYTES
from gaugepost.jobs.field_types import is_utf8
from gaugepost_ops.cli.jobs.json_lines import MAX_LINE
from gaugepost_ops.web.bodies import read_body
from gaugepost_ops.web.forms import IN_UTF8, MOST_FIELDS, ONCE, BrokenForm, WrongField, parse_form
from gaugepost_ops.web.gateway import header
from gaugepost_ops.web.json_jobs import strict_json
from gaugepost_ops.web.problems import Refused

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.types import Receive, Scope

_KEEP = "surrogateescape"
"""How bytes that are not UTF-8 are kept, until `is_utf8` finds them."""
MAX_FILE_BODY = PART_BYTES + 100_000
_NESTED = re.compile(r"(\w+)\[([^\[\]]+)\]")
_NESTED_ONCE = "expected a name such as record[Email], with one value: gaugepost sends no lists"


@dataclass(slots=True)
class V41Input:
    """The fields and files of a call of v4.1. `files`: name of a field → file name and content."""

    fields: dict[str, str] = field(default_factory=dict, repr=False)
    files: dict[str, tuple[str, bytes]] = field(default_factory=dict, repr=False)


def content_type(request: Scope) -> str:
    return header(request, b"content-type") or ""


async def body_of(request: Scope, receive: Receive, most: int = MAX_LINE) -> bytes:
    """Read a body of at most `most` bytes. Raises Refused: 413, 408."""
    try:
        return await read_body(request, receive, most)
    except Refused as error:
        if error.status is not HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            raise
        raise Refused(error.status, f"expected a body of at most {most:,} bytes") from None


def read_object(kind: str, body: bytes, known: Collection[str]) -> dict[str, Any]:
    """Read the body of a call of v7 or imports. `kind`: its Content-Type; `known`: the names of its fields.

    Raises Refused for JSON that two readers could read in two ways, InvalidJob for a form that would lose a value.
    """
    if "json" in kind.lower():
        return _json(body)
    return _nested(read_pairs(body), known) if "urlencoded" in kind.lower() else {}


def read_v41(kind: str, body: bytes) -> V41Input:
    """Read the form of a call of v4.1, as `read_object`."""
    if "urlencoded" in kind.lower():
        pairs = read_pairs(body)
        counts = Counter(name for name, _ in pairs if "[" in name)
        if wrong := [Problem(name, ONCE) for name, count in counts.items() if count > 1]:
            raise InvalidJob(wrong)
        return V41Input(dict(pairs))
    try:
        with parse_form(kind, body) as form:
            return V41Input(form.fields, {name: (file, content.read()) for name, (file, content) in form.files.items()})
    except BrokenForm:
        return V41Input()
    except WrongField as error:
        raise InvalidJob([Problem(error.field, error.expected)]) from None


def read_pairs(body: bytes) -> list[tuple[str, str]]:
    """Return the pairs of an urlencoded text, with empty values. Raises InvalidJob unless it is in UTF-8."""
    text = body.decode(errors=_KEEP)
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors=_KEEP, max_num_fields=MOST_FIELDS)
    except ValueError:
        return []
    if wrong := [Problem(_shown(name), IN_UTF8) for name, value in pairs if not is_utf8(name + value)]:
        raise InvalidJob(wrong)
    return pairs


def _shown(name: str) -> str:
    """Return the name of a field as `InvalidJob` has it, as far as it can be shown."""
    name = name.encode(errors=_KEEP).decode(errors="replace")
    match = _NESTED.fullmatch(name)
    return name if match is None else f"{match[1]}.{match[2]}"


def _json(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    strict_json(body)
    return found


def _nested(pairs: list[tuple[str, str]], known: Collection[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    names = [name for name, _ in pairs if "[" in name and name.partition("[")[0] in known]
    if wrong := [Problem(name, _NESTED_ONCE) for name in names if not _NESTED.fullmatch(name)]:
        raise InvalidJob(wrong)
    for name, value in pairs:
        match = _NESTED.fullmatch(name)
        if match is None:
            found[name] = value
            continue
        inner = found.setdefault(match[1], {})
        if isinstance(inner, dict):
            inner[match[2]] = value
    return found
