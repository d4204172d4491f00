"""Parse request bodies as the two generations of the API do.

Laravel (v7 and imports) accepts JSON or a form (``record[Email]=...``). A body that it cannot parse counts as empty, so
the answer names missing fields. v4.1 accepts only forms, urlencoded or multipart.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from tornado.httputil import HTTPFile, HTTPInputError, parse_multipart_form_data

_NESTED = re.compile(r"(\w+)\[(.+)\]", re.DOTALL)
_BOUNDARY = re.compile(r'boundary="?([^";]+)"?')


@dataclass(frozen=True, slots=True)
class Form:
    """Fields and files of a v4.1 call."""

    fields: dict[str, str] = field(default_factory=dict)
    files: dict[str, tuple[str, bytes]] = field(default_factory=dict)


def read_input(headers: Mapping[str, str], body: bytes) -> dict[str, object]:
    """Return the input of a v7 or imports call; empty if the body cannot be parsed."""
    kind = headers.get("Content-Type", "").lower()
    if "json" in kind:
        try:
            data = json.loads(body)
        except ValueError:
            return {}
        return data if isinstance(data, dict) else {}
    return _nest(read_pairs(body)) if "urlencoded" in kind else {}


def read_form(headers: Mapping[str, str], body: bytes) -> Form:
    """Return the form of a v4.1 call; empty if the body cannot be parsed."""
    kind = headers.get("Content-Type", "")
    if "urlencoded" in kind.lower():
        return Form(fields=dict(read_pairs(body)))
    boundary = _BOUNDARY.search(kind) if kind.lower().startswith("multipart/form-data") else None
    return _read_multipart(boundary[1], body) if boundary else Form()


def read_pairs(text: bytes | str) -> list[tuple[str, str]]:
    """Return the (name, value) pairs of an urlencoded body or query, with empty values."""
    raw = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return parse_qsl(raw, keep_blank_values=True)


def _read_multipart(boundary: str, body: bytes) -> Form:
    arguments: dict[str, list[bytes]] = {}
    files: dict[str, list[HTTPFile]] = {}
    try:
        parse_multipart_form_data(boundary.encode(), body, arguments, files)
    except HTTPInputError:
        return Form()
    return Form(
        {name: values[-1].decode("utf-8", "replace") for name, values in arguments.items()},
        {name: (items[-1]["filename"], items[-1]["body"]) for name, items in files.items()},
    )


def _nest(pairs: list[tuple[str, str]]) -> dict[str, object]:
    nested: dict[str, object] = {}
    for name, value in pairs:
        match = _NESTED.fullmatch(name)
        if match is None:
            nested[name] = value
            continue
        inner = nested.setdefault(match[1], {})
        if isinstance(inner, dict):
            inner[match[2]] = value
    return nested
