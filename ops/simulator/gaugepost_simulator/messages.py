"""Requests and replies, and the three answer formats of CustomerGauge.

The token endpoint answers as OAuth2. v7 and the imports API answer with Laravel's ``message`` and ``errors``. v4.1 has
an envelope ``Data`` or ``Error``, in XML if the path ends in ``.xml``.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from xml.sax.saxutils import escape

JSON = "application/json"
Errors = dict[str, list[str]]


@dataclass(slots=True)
class Request:
    """One HTTP request with its whole body. ``received_at``: Unix time in seconds when its headers arrived."""

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
    """Return a reply with a JSON body."""
    return Reply(status, json.dumps(data, separators=(",", ":")).encode())


def refusal(status: int, message: str) -> Reply:
    """Return a refusal of v7 or imports without field errors."""
    return json_reply(status, {"message": message})


def invalid(errors: Errors, message: str | None = None) -> Reply:
    """Return a 422 with field errors. Its default message is the first error and the count of the others."""
    if message is None:
        texts = [text for field_texts in errors.values() for text in field_texts]
        more = len(texts) - 1
        message = texts[0] + (f" (and {more} more error{'s' if more > 1 else ''})" if more else "")
    return json_reply(422, {"message": message, "errors": errors})


def data_reply(data: object, *, xml: bool) -> Reply:
    """Return a success of v4.1."""
    return _envelope(200, "Data", data, xml=xml)


def error_reply(status: int, code: int, message: str, *, xml: bool) -> Reply:
    """Return an error of v4.1."""
    return _envelope(status, "Error", {"Message": message, "Code": code}, xml=xml)


def _envelope(status: int, name: str, content: object, *, xml: bool) -> Reply:
    if not xml:
        return json_reply(status, {name: content})
    return Reply(status, f"<{name}>{_xml(content)}</{name}>".encode(), "application/xml; charset=utf-8")


def _xml(content: object) -> str:
    # Only errors are documented in XML. Lists and booleans follow the JSON by analogy.
    if isinstance(content, dict):
        return "".join(f"<{name}>{_xml(value)}</{name}>" for name, value in content.items())
    if isinstance(content, list):
        return "".join(f"<item>{_xml(value)}</item>" for value in content)
    return escape(json.dumps(content) if isinstance(content, bool) else str(content))
