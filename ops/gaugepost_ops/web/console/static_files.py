"""`/static/…`: style sheet and scripts, with their hash in the name, so that browsers may keep them for ever."""

from __future__ import annotations

import hashlib
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from typing import TYPE_CHECKING

from starlette.responses import Response

from gaugepost_ops.web.problems import Refused

if TYPE_CHECKING:
    from starlette.requests import Request

    from gaugepost_ops.web.console.routes import Console

_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_HEADERS = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def add_routes(console: Console) -> None:
    """Add the route of this module."""
    console.get("/static/{name}", show, role=None)


async def show(request: Request) -> Response:
    """Answer with a file."""
    found = _by_address().get(request.url.path)
    if found is None:
        raise Refused(HTTPStatus.NOT_FOUND, "there is no such file")
    name, content = found
    kind = _TYPES[name[name.rindex(".") :]]
    return Response(content, headers=_HEADERS, media_type=kind)


def static(name: str) -> str:
    """Return the URL of a file."""
    return _addresses()[name]


@cache
def _contents() -> dict[str, bytes]:
    folder = files("gaugepost_ops.web.console") / "static"
    return {one.name: one.read_bytes() for one in folder.iterdir() if one.name.endswith(tuple(_TYPES))}


@cache
def _addresses() -> dict[str, str]:
    return {name: f"/static/{_hashed(name, content)}" for name, content in _contents().items()}


@cache
def _by_address() -> dict[str, tuple[str, bytes]]:
    return {address: (name, _contents()[name]) for name, address in _addresses().items()}


def _hashed(name: str, content: bytes) -> str:
    stem, dot, ending = name.rpartition(".")
    return f"{stem}-{hashlib.sha256(content).hexdigest()[:12]}{dot}{ending}"
