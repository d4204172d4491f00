"""Read requests: where they come from, their forms, and where a person wanted to go."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from starlette.datastructures import FormData
from starlette.responses import RedirectResponse

from gaugepost_ops.web.bodies import read_body
from gaugepost_ops.web.problems import Refused

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

MAX_FORM = 64_000
_MOST_FIELDS = 200
_OTHER_SITE = "this request came from another site, so nothing was changed: open the console itself, and try again"


def require_same_origin(request: Request, *, is_secure: bool) -> None:
    """Raise Refused (403) unless the console's own page sends this request.

    Browsers say so by Sec-Fetch-Site. Without it, Origin must be the address of the console.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        is_ours = site == "same-origin"
    else:
        scheme = "https" if is_secure else "http"
        is_ours = origin is not None and origin == f"{scheme}://{request.headers.get('host', '')}"
    if not is_ours:
        raise Refused(HTTPStatus.FORBIDDEN, _OTHER_SITE)


async def form_of(request: Request) -> FormData:
    """Return the fields of a form. Raises Refused: 400, 408, 413, 415."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "expected a form")
    body = await read_body(request.scope, request.receive, MAX_FORM)
    try:
        return FormData([*parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)])
    except ValueError:
        raise Refused(HTTPStatus.BAD_REQUEST, "the form is not readable") from None


def field(form: FormData, name: str) -> str:
    """Return a field of a form; "" without it."""
    value = form.get(name, "")
    return value if isinstance(value, str) else ""


def local_path(text: str | None) -> str:
    """Return a path of the console, or `/` for everything else: a link must never lead to another site."""
    if not text or not text.startswith("/") or text.startswith("//") or "\\" in text or not text.isprintable():
        return "/"
    parts = urlsplit(text)
    return "/" if parts.scheme or parts.netloc or not text.isascii() else text


def see_other(path: str) -> Response:
    """Return the answer to a change: the browser then gets this page."""
    return RedirectResponse(path, HTTPStatus.SEE_OTHER)
