"""Render pages by Jinja: all texts are escaped, and a name that a template does not have is an error."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse, Response

from gaugepost_ops.cli.output.formatting import age, clock, counted, local, printable
from gaugepost_ops.web.console.charts import Chart, charts_of, hour_of
from gaugepost_ops.web.console.routes import CONSOLE, console_of
from gaugepost_ops.web.console.sessions import visitor_of
from gaugepost_ops.web.console.static_files import static
from gaugepost_ops.web.console.words import in_words

if TYPE_CHECKING:
    from starlette.requests import Request

    from gaugepost.ledger import RegionHistory

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_HTMX = {
    "allowEval": False,
    "allowScriptTags": False,
    "includeIndicatorStyles": False,
    "historyEnabled": False,
    "timeout": 10_000,
    "selfRequestsOnly": True,
    "responseHandling": [
        {"code": "204", "swap": False},
        {"code": "304", "swap": False},
        {"code": "2..", "swap": True},
        {"code": "[45]..", "swap": False, "error": True},
    ],
}
_PARTS: dict[str, bytes] = {}
"""ETag → the part that changes. Only the latest are kept."""
_MOST_PARTS = 32


def page(
    request: Request,
    template: str,
    *,
    status: int = HTTPStatus.OK,
    live: bool = False,
    etag: str | None = None,
    **values: Any,  # noqa: ANN401 - whatever the template shows
) -> Response:
    """Return a page of the console for a person with a session.

    `live`: the browser asks for it again every 2 s, and gets the part that changes. `etag`: changes whenever that part
    does; while it does not, the answer to such a request has no content. All people of a role share the part, so it
    is rendered once for all open consoles.
    """
    visitor, console = visitor_of(request), console_of(request)
    headers = dict(HEADERS)
    is_part = live and "hx-request" in request.headers
    if etag is not None:
        headers["ETag"] = _etag(etag, str(request.url), visitor.role)
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        if is_part and (known := _PARTS.get(headers["ETag"])) is not None:
            return HTMLResponse(known, status, headers)
    shown = {
        "base": "part.html" if is_part else "base.html",
        "visitor": visitor,
        "navigation": console.navigation(visitor.role),
        "path": request.url.path,
        "address": request.url.path + (f"?{request.url.query}" if request.url.query else ""),
        "live": live,
        "etag": headers.get("ETag", ""),
        "pages": {route.path for route in console.routes if route.method == "GET"},
    }
    html = _template(template).render(shown | values).encode()
    if is_part and etag is not None:
        if len(_PARTS) >= _MOST_PARTS:
            _PARTS.clear()
        _PARTS[headers["ETag"]] = html
    return HTMLResponse(html, status, headers)


def bare_page(
    template: str,
    *,
    status: int = HTTPStatus.OK,
    headers: dict[str, str] | None = None,
    **values: Any,  # noqa: ANN401
) -> Response:
    """Return a page for everyone: the sign-in, and errors before it."""
    return HTMLResponse(_template(template).render(values), status, HEADERS | (headers or {}))


def has_visitor(request: Request) -> bool:
    """Return whether a page may show the navigation: the request has a session and a console."""
    return CONSOLE in request.scope and "gaugepost.visitor" in request.scope


def _etag(*parts: str) -> str:
    return f'W/"{hashlib.sha256(chr(0).join((*parts, _build())).encode()).hexdigest()[:24]}"'


@cache
def _build() -> str:
    """Return a text that changes with the style sheet and the scripts, so that open pages load the new ones."""
    return static("console.css") + static("console.js")


def _words(text: str) -> Markup:
    """Return a text as HTML: what is in backticks is code."""
    parts = re.split(r"`([^`]+)`", printable(text))
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else escape(part) for place, part in enumerate(parts)
    )


def _hour(history: RegionHistory) -> list[Chart]:
    """Return the charts of the last hour."""
    return charts_of(hour_of(history))


def _template(name: str) -> jinja2.Template:
    return _environment().get_template(name)


@cache
def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("gaugepost_ops.web.console"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.globals |= {"static": static, "htmx_settings": json.dumps(_HTMX)}
    made.filters |= {
        "count": counted,
        "number": lambda value: f"{value:,}",
        "age": age,
        "clock": clock,
        "clean": printable,
        "words": _words,
        "in_words": in_words,
        "hour": _hour,
        "iso": lambda ms: local(ms).astimezone(UTC).isoformat(timespec="seconds"),
        "exact": lambda ms: local(ms).strftime("%Y-%m-%d %H:%M:%S %Z"),
        "ms": lambda text: datetime.fromisoformat(text).timestamp() * 1000,
    }
    return made
