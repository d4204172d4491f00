"""Parse CustomerGauge's two answer formats. No input raises an error.

v7 and imports: `{"message", "errors": {field: [text]}}`. v4.1: `{"Data": …}` or `{"Error": {"Message", "Code"}}`,
in JSON or XML. One documented sample has no `Error` around its message and code.
Source: `docs/customergauge.md`, "Two answer formats".
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import ParseError

from defusedxml import ElementTree

from gaugepost_tasks.answers.parsed_answer import Accepted, Malformed, NotAccepted, ParsedAnswer, Refusal

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

UNREADABLE = object()
"""The value for a body that is neither JSON nor XML. It is not None, because None means JSON's null."""

_EXPLICIT_NO = frozenset({"0", "n", "no", "false"})
_NO = _EXPLICIT_NO | {"", "null"}
_MAX_DEPTH = 8


def parse_document(body: bytes) -> Any:  # noqa: ANN401 - any JSON
    """Parse a body of v4.1: JSON, or XML converted to JSON's types. Return UNREADABLE if it is neither."""
    stripped = body.lstrip(b"\xef\xbb\xbf \t\r\n")
    return _xml(stripped) if stripped.startswith(b"<") else parse_json(body)


def parse_json(body: bytes) -> Any:  # noqa: ANN401 - any JSON
    """Parse a body of v7, which is always JSON. Return UNREADABLE if it is not."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return UNREADABLE


def is_yes(value: object) -> bool:
    """Return whether a value means yes. XML has only text, and PHP spells no in several ways."""
    return value.strip().casefold() not in _NO if isinstance(value, str) else bool(value)


def is_explicit_no(value: object) -> bool:
    """Return whether a value means no. An empty value does not: it leaves open what happened."""
    if isinstance(value, str):
        return value.strip().casefold() in _EXPLICIT_NO
    return isinstance(value, bool | int | float) and not value


def whole_number(value: object) -> int | None:
    """Return a whole number that may be text, as in v4.1's counts and codes; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().isascii() and value.strip().isdigit() and len(value) < 20:  # noqa: PLR2004 - no count is longer, and int() has a limit
        return int(value)
    return None


def read_laravel_refusal(document: object) -> Refusal | Malformed:
    """Read `{"message", "errors"}`. OAuth's `error_description` or `error` also serves as the message."""
    if not isinstance(document, dict):
        return Malformed()
    texts = [document[key] for key in ("message", "error_description", "error") if isinstance(document.get(key), str)]
    errors = _field_errors(document.get("errors"))
    if not texts and not errors:
        return Malformed()
    return Refusal(texts[0] if texts else "", field_errors=errors)


def read_v41(body: bytes, *, ok: bool) -> ParsedAnswer:
    """Read v4.1's envelope. `ok`: the status is 2xx.

    Two successes are malformed, because they leave open what happened: an empty `Data`, and a message without a code
    outside of `Error`.
    """
    document = parse_document(body)
    if not isinstance(document, dict):
        return Malformed()
    error = document.get("Error")
    if isinstance(error, dict):
        return _v41_error(error)
    if isinstance(error, str) and error.strip():
        return Refusal(error)
    if "Data" in document:
        return _v41_data(document["Data"])
    bare = _v41_error(document)
    return Malformed() if ok and isinstance(bare, Refusal) and bare.code is None else bare


def _v41_data(data: object) -> ParsedAnswer:
    if is_explicit_no(data):
        return NotAccepted()
    return Accepted() if is_yes(data) else Malformed()


def _v41_error(document: dict[str, Any]) -> Refusal | Malformed:
    lowered = {str(key).lower(): value for key, value in document.items()}
    message, code = lowered.get("message"), whole_number(lowered.get("code"))
    if not isinstance(message, str) and code is None:
        return Malformed()
    return Refusal(message if isinstance(message, str) else "", code)


def _field_errors(errors: object) -> dict[str, list[str]]:
    if not isinstance(errors, dict):
        return {}
    return {str(name): texts for name, value in errors.items() if (texts := _texts(value))}


def _texts(value: object) -> list[str]:
    return [text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str)]


def _xml(body: bytes) -> Any:  # noqa: ANN401 - as document()
    try:
        root = ElementTree.fromstring(body)
    except (ParseError, ValueError, LookupError):
        return UNREADABLE
    content = _content(root, _MAX_DEPTH)
    # v4.1 documents only <Error> as a root. Any other root counts as an envelope around Data or Error.
    return content if root.tag not in {"Data", "Error"} and isinstance(content, dict) else {root.tag: content}


def _content(element: Element, depth: int) -> Any:  # noqa: ANN401 - as document()
    children = list(element)
    if not children or not depth:
        return element.text or ""
    if len({child.tag for child in children}) == 1 and (len(children) > 1 or children[0].tag in {"item", "row"}):
        return [_content(child, depth - 1) for child in children]
    return {child.tag: _content(child, depth - 1) for child in children}
