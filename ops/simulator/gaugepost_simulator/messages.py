"""Requests and replies, and the three dialects in which CustomerGauge answers.

The token endpoint speaks OAuth2, v7 and the imports API speak Laravel's ``message``/``errors``, v4.1 has an envelope of
``Data`` or ``Error`` and turns to XML when the path ends in ``.xml``.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from xml.sax.saxutils import escape

JSON = "application/json"
Errors = dict[str, list[str]]


@dataclass(slots=True)
class Request:
    """One HTTP request, read whole. ``received_at`` is when its headers were there (epoch)."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    remote_ip: str
    received_at: float


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP answer."""

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


def json_reply(status: int, data: object) -> Reply:
    """Answer with JSON."""
    return Reply(status, json.dumps(data, separators=(",", ":")).encode())


def refusal(status: int, message: str) -> Reply:
    """Refuse as v7 and imports do where no field is to blame."""
    return json_reply(status, {"message": message})


def invalid(errors: Errors, message: str | None = None) -> Reply:
    """Refuse with field errors, 422; the message is the first of them with the count of the others."""
    if message is None:
        texts = [text for field_texts in errors.values() for text in field_texts]
        more = len(texts) - 1
        message = texts[0] + (f" (and {more} more error{'s' if more > 1 else ''})" if more else "")
    return json_reply(422, {"message": message, "errors": errors})


def data_reply(data: object, *, xml: bool) -> Reply:
    """Answer a v4.1 call that went well."""
    return _envelope(200, "Data", data, xml=xml)


def error_reply(status: int, code: int, message: str, *, xml: bool) -> Reply:
    """Answer a v4.1 call that did not."""
    return _envelope(status, "Error", {"Message": message, "Code": code}, xml=xml)


def _envelope(status: int, name: str, content: object, *, xml: bool) -> Reply:
    if not xml:
        return json_reply(status, {name: content})
    return Reply(status, f"<{name}>{_xml(content)}</{name}>".encode(), "application/xml; charset=utf-8")


def _xml(content: object) -> str:
    # Only errors are documented in XML; lists and truth values are written as the JSON suggests.
    if isinstance(content, dict):
        return "".join(f"<{name}>{_xml(value)}</{name}>" for name, value in content.items())
    if isinstance(content, list):
        return "".join(f"<item>{_xml(value)}</item>" for value in content)
    return escape(json.dumps(content) if isinstance(content, bool) else str(content))
