"""`GET /docs`: the OpenAPI description as a page. It is made here, has no script, and loads nothing from elsewhere."""

from __future__ import annotations

import json
import re
from functools import cache
from html import escape
from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse, Response

from gaugepost_ops.web.openapi import description

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from starlette.requests import Request

Json = dict[str, Any]

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}
h2{margin-top:2.5rem;border-top:1px solid #d0d7de;padding-top:1rem;font-size:1.1rem}
code,pre{font:14px/1.45 ui-monospace,monospace}pre{background:#f6f8fa;padding:.75rem;overflow:auto}
table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.3rem .6rem .3rem 0}
tr{border-bottom:1px solid #eaeef2}div{overflow-x:auto;margin-top:1rem}
nav ul{columns:20rem;padding-left:1rem}nav b{font-size:.8rem}
summary{cursor:pointer}b{text-transform:uppercase}a{color:#0550ae}
@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}pre{background:#161b22}a{color:#79c0ff}
h2{border-color:#30363d}tr{border-color:#21262d}}
"""
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


async def docs(_: Request) -> Response:
    """Answer with the page."""
    return HTMLResponse(_page(), headers=_HEADERS)


async def style(_: Request) -> Response:
    """Answer with the style sheet of the page."""
    return Response(_STYLE, media_type="text/css", headers=_HEADERS)


@cache
def _page() -> str:
    return "\n".join(_parts(description()))


def _parts(api: Json) -> Iterator[str]:
    title = escape(api["info"]["title"])
    yield f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
    yield '<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="/docs/style.css">'
    yield f"<h1>{title}</h1><p>{escape(api['info']['description'])}</p>"
    yield '<p>Each call needs the header <code>Authorization: Bearer gp_…</code>, except where it says "no key". '
    yield 'Tools read <a href="/openapi.json">openapi.json</a>.</p>'
    yield f"<nav><ul>{''.join(_contents(api))}</ul></nav>"
    for path, methods in api["paths"].items():
        for method, call in methods.items():
            yield from _call(api, path, method, call)
    yield '<h2 id="schemas">Schemas</h2>'
    for name, schema in api["components"]["schemas"].items():
        yield _schema(name, schema)


def _contents(api: Json) -> Iterator[str]:
    for path, methods in api["paths"].items():
        for method, call in methods.items():
            yield f'<li><a href="#{call["operationId"]}"><b>{method}</b> <code>{escape(path)}</code></a>'
    yield '<li><a href="#schemas">Schemas</a>'


def _text(words: str) -> str:
    """Return a text of the description as HTML: words in backticks are code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(words))


def _call(api: Json, path: str, method: str, call: Json) -> Iterator[str]:
    yield f'<h2 id="{call["operationId"]}"><b>{method}</b> <code>{escape(path)}</code></h2>'
    yield f"<p>{_text(call['summary'])}</p>"
    without = "" if call.get("security") is None else " No key."
    yield f"<p>{_text(call.get('description', ''))}{without}</p>"
    rows = [
        (one["name"], one["in"], _short(one["schema"]), _text(one.get("description", ""))) for one in _parameters(call)
    ]
    kinds = call.get("requestBody", {}).get("content", {})
    rows += [("body", kind, _short(content["schema"]), "") for kind, content in kinds.items()]
    yield _table(("parameter", "in", "type", "what"), rows)
    yield _table(("status", "answer"), [(status, _text(_about(api, one))) for status, one in call["responses"].items()])


def _parameters(call: Json) -> list[Json]:
    return list(call.get("parameters", []))


def _about(api: Json, response: Json) -> str:
    if "$ref" in response:
        response = api["components"]["responses"][response["$ref"].rpartition("/")[2]]
    return str(response["description"])


def _short(schema: Json) -> str:
    """Return a schema in a few words, as HTML."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(map(_short, schema["anyOf"]))
    if "enum" in schema:
        return escape(", ".join(map(str, schema["enum"])))
    if schema.get("type") == "array":
        return f"array of {_short(schema['items'])}"
    limits = [f"{word} {schema[name]}" for name, word in (("minimum", "from"), ("maximum", "to")) if name in schema]
    return " ".join([str(schema.get("type", "")), *limits])


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    if not rows:
        return ""
    lines = ["".join(f"<td>{cell}" for cell in row) for row in rows]
    return f"<div><table><tr>{''.join(f'<th>{head}' for head in heads)}<tr>{'<tr>'.join(lines)}</table></div>"


def _schema(name: str, schema: Json) -> str:
    text = escape(json.dumps(schema, indent=1, ensure_ascii=False))
    return f'<details id="{escape(name)}"><summary><code>{escape(name)}</code></summary><pre>{text}</pre></details>'
