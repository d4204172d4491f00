"""The shapes of CustomerGauge's answers: OAuth, v7 and imports, v4.1. Source: `docs/customergauge.md`."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol
from xml.sax.saxutils import escape

from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    FieldErrors = Mapping[str, Sequence[str]]

JSON = "application/json"
XML = "application/xml; charset=utf-8"

INVALID_KEY = 200000
INVALID_ARGUMENTS = 300001
UNKNOWN_MODULE = 300002
UNKNOWN_METHOD = 300003
REQUIRED_FIELD = 300004
EMPTY_FIELD = 400003
UNKNOWN_WORKFLOW_STATUS = 400011

_UNAUTHORIZED = HTTPStatus.UNAUTHORIZED


def json_response(status: int, content: object, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer in JSON, spelled as CustomerGauge's."""
    body = json.dumps(content, separators=(",", ":")).encode()
    return Response(body, status, dict(headers or {}), media_type=JSON)


class Dialect(Protocol):
    """How one family of endpoints answers."""

    def refusal(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
        """Return a refusal."""
        ...

    def unauthenticated(self) -> Response:
        """Return the refusal of a credential."""
        ...


class OAuth:
    """The token endpoint."""

    def refusal(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
        """Return a refusal."""
        error = "invalid_request" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "temporarily_unavailable"
        return json_response(status, {"error": error, "error_description": message}, headers)

    def unauthenticated(self) -> Response:
        """Return the refusal of a client."""
        error = {"error": "invalid_client", "error_description": "Client authentication failed"}
        return json_response(_UNAUTHORIZED, error)


class Laravel:
    """v7 and imports: `{"message", "errors": {field: [text]}}`."""

    def refusal(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
        """Return a refusal without fields."""
        return json_response(status, {"message": message}, headers)

    def unauthenticated(self) -> Response:
        """Return the refusal of a token."""
        return json_response(_UNAUTHORIZED, {"message": "Unauthenticated."})

    def invalid(self, errors: FieldErrors, message: str | None = None) -> Response:
        """Return the refusal of fields. Without a message it is the first text, and how many more there are."""
        texts = [text for some in errors.values() for text in some]
        if message is None:
            more = len(texts) - 1
            message = texts[0] + (f" (and {more} more error{'s' if more > 1 else ''})" if more else "")
        fields = {name: list(some) for name, some in errors.items()}
        return json_response(HTTPStatus.UNPROCESSABLE_ENTITY, {"message": message, "errors": fields})


class V41:
    """v4.1: `{"Data": …}` or `{"Error": {"Message", "Code"}}`; as XML, if the path ends in .xml."""

    def __init__(self, *, xml: bool) -> None:
        self._xml = xml

    def refusal(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
        """Return a refusal for which CustomerGauge has no code: its code is the status."""
        return self.error(status, int(status), message, headers)

    def unauthenticated(self) -> Response:
        """Return the refusal of a key."""
        return self.error(_UNAUTHORIZED, INVALID_KEY, "Invalid API key")

    def error(self, status: int, code: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
        """Return an error."""
        return self._envelope(status, "Error", {"Message": message, "Code": code}, headers)

    def accepted(self) -> Response:
        """Return the success, which has no data."""
        return self._envelope(HTTPStatus.OK, "Data", content=True)

    def _envelope(
        self,
        status: int,
        name: str,
        content: bool | dict[str, Any],  # noqa: FBT001 - the data
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        if not self._xml:
            return json_response(status, {name: content}, headers)
        if isinstance(content, dict):
            inner = "".join(f"<{key}>{escape(_printable(str(value)))}</{key}>" for key, value in content.items())
        else:
            inner = json.dumps(content)
        return Response(f"<{name}>{inner}</{name}>", status, dict(headers or {}), media_type=XML)


def _printable(text: str) -> str:
    """Replace what XML cannot have: control characters, and lone surrogates."""
    return "".join(one if one.isprintable() else " " for one in text)
