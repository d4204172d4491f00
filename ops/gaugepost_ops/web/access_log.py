"""The access log: one line for each request, in the form of all other lines of the process.

Structlog took a tenth of the time of an enqueue, and a call of the system for each line another part. So JSON lines are
made here, and written together, at most 50 ms later.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import structlog

from gaugepost_workers.observers.logs import timestamp

if TYPE_CHECKING:
    from gaugepost.settings import Settings

_STDERR = 2
_WRITE_EVERY_S = 0.05
_LEVELS = {logging.DEBUG: "debug", logging.INFO: "info", logging.WARNING: "warning"}


class Served(NamedTuple):
    """An answered request. `route`: the path of its route, with placeholders."""

    route: str
    method: str
    status: int
    seconds: float
    key: str | None
    client: str | None


class AccessLog:
    """Writes the lines of one process. Only the event loop's thread may use it."""

    def __init__(self, settings: Settings) -> None:
        self._level = logging.getLevelNamesMapping()[settings.log_level.upper()]
        as_text = sys.stderr.isatty() if settings.log_format == "auto" else settings.log_format == "text"
        self._text = structlog.get_logger("gaugepost.gateway") if as_text else None
        self._lines: list[str] = []

    def note(self, served: Served, level: int) -> None:
        """Log a request."""
        if level < self._level:
            return
        if self._text is not None:
            row = served._asdict() | {"ms": round(served.seconds * 1000, 1)}
            del row["seconds"]
            self._text.log(level, "request", **row)
            return
        if not self._lines:
            asyncio.get_running_loop().call_later(_WRITE_EVERY_S, self.flush)
        self._lines.append(_json_line(served, _LEVELS[level]))

    def flush(self) -> None:
        """Write all lines. Never raises: a full disk must not fail a request."""
        text = "".join(self._lines)
        self._lines.clear()
        with suppress(OSError):
            os.write(_STDERR, text.encode())


@lru_cache(maxsize=1_000)
def _as_json(client: str | None) -> str:
    return json.dumps(client)


def _json_line(served: Served, level: str) -> str:
    """Return a line. Routes, methods and names of keys need no escaping; a client's address may come from a proxy."""
    key = "null" if served.key is None else f'"{served.key}"'
    client = _as_json(served.client)
    return (
        f'{{"route": "{served.route}", "method": "{served.method}", "status": {served.status}, '
        f'"ms": {served.seconds * 1000:.1f}, "key": {key}, "client": {client}, '
        f'"event": "request", "level": "{level}", "timestamp": "{timestamp()}"}}\n'
    )
