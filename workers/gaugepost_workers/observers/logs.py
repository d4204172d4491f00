"""Logs: one line for each event on stderr, as text on a terminal and as JSON elsewhere. Ids and verdicts, never data.

A value may come from Redis or from a library's exception. So passwords in URLs and control characters are removed here
from every line, Celery's and other libraries' lines included. A traceback shows the text of an exception only if its
class quotes no data. With JSON logs, all other output of the process becomes JSON too: prints and fatal tracebacks.

A worker logs each attempt, so this code runs for every job. Nearly all lines are plain: they are encoded once and
searched for two substrings. Only the others are cleaned field by field.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
import time
import traceback
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from redis import RedisError

from gaugepost.errors import GaugepostError

if TYPE_CHECKING:
    from structlog.typing import ExcInfo

    from gaugepost.regions import Region
    from gaugepost.settings import Settings

_STDERR = 2  # not sys.stderr, which celery replaces
_PASSWORD = re.compile(r"(://[^/@\s:]*:)[^@\s]*@")
_encode = json.JSONEncoder(separators=(", ", ": "), default=repr).encode


def scrub(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Remove passwords and control characters from all texts of an event. A traceback keeps its line breaks."""
    return {name: _clean(text, name) if isinstance(text, str) else text for name, text in event.items()}


def _clean(text: str, name: str) -> str:
    if text.isprintable() and "://" not in text:
        return text
    masked = _PASSWORD.sub(r"\1***@", text)
    lines = masked.split("\n") if name == "exception" else [masked]
    return "\n".join("".join(c if c.isprintable() else "?" for c in line) for line in lines)


def format_fault(exc_info: ExcInfo) -> str:
    """Format an exception and its causes, with tracebacks, the first cause first."""
    chain: list[BaseException] = []
    error: BaseException | None = exc_info[1]
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n\nThat led to:\n\n".join(map(_format_one, reversed(chain)))


def _format_one(error: BaseException) -> str:
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    headline = f"{name}: {error}" if _is_safe_to_quote(error) else name
    return "".join(["Traceback (most recent call last):\n", *traceback.format_tb(error.__traceback__), headline])


def _is_safe_to_quote(error: BaseException) -> bool:
    # The exceptions of requests are OSErrors too, and their texts contain URLs.
    of_the_system = isinstance(error, OSError) and type(error).__module__ in {"builtins", "socket", "ssl"}
    return of_the_system or isinstance(error, GaugepostError | RedisError)


_with_traceback = structlog.processors.ExceptionRenderer(format_fault)


class _Timestamps:
    """Formats the time as `2026-11-22T01:02:03.004567Z`. All but the fraction is formatted once a second."""

    def __init__(self) -> None:
        self._second = (0, "")

    def __call__(self) -> str:
        micros = time.time_ns() // 1000
        second, micros = divmod(micros, 1_000_000)
        known, text = self._second
        if known != second:
            text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._second = (second, text)  # one assignment, because many threads log
        return f"{text}.{micros:06d}Z"


timestamp = _Timestamps()


def json_line(logger: object, method: str, event: structlog.typing.EventDict) -> str:
    """Return an event as a line of JSON."""
    event["level"] = method
    event["timestamp"] = timestamp()
    if event.get("exc_info"):
        event = _with_traceback(logger, method, event)
    line = _encode(event)
    # The encoder escapes every character that needs cleaning.
    if "\\" in line or "://" in line:
        line = _encode(scrub(logger, method, event))
    return line


class _Stderr:
    """Writes each line to stderr in one call. Never raises: a full disk must not fail a delivery."""

    def __init__(self, *_: object) -> None:
        """Accept the logger's name, which no line shows."""

    def _write(self, line: str) -> None:
        with suppress(OSError):
            os.write(_STDERR, line.encode(errors="replace") + b"\n")

    debug = info = warning = error = critical = exception = msg = log = _write


class _LibraryHandler(logging.Handler):
    """Receives what libraries log by Python's logging."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record as one line: some libraries write several."""
        log: Any = structlog.get_logger()
        fault = {"exc_info": record.exc_info} if record.exc_info else {}
        log.log(max(record.levelno, logging.DEBUG), _one_line(record.getMessage()), logger=record.name, **fault)


def _one_line(text: str) -> str:
    return " ".join(text.split())


class _PrintedLines:
    """Replaces `sys.stdout` or `sys.stderr`. Each printed line becomes an event; `name` is its logger."""

    encoding = "utf-8"

    def __init__(self, name: str) -> None:
        self._name = name
        self._begun = ""

    def write(self, text: str) -> int:
        """Log the complete lines; keep the rest until its line ends."""
        *ended, self._begun = (self._begun + text).split("\n")
        log: Any = structlog.get_logger()
        for line in filter(None, map(_one_line, ended)):
            log.warning(line, logger=self._name)
        return len(text)

    def flush(self) -> None:
        """Log an incomplete line."""
        if self._begun:
            self.write("\n")

    def isatty(self) -> bool:
        return False


def set_up_logs(settings: Settings, region: Region | None = None) -> None:
    """Set up the logs of this process by LOG_LEVEL and LOG_FORMAT. `region`: added to each line, if given."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    as_text = sys.stderr.isatty() if settings.log_format == "auto" else settings.log_format == "text"
    structlog.configure(
        processors=[*_region_processors(region), *(_text_processors() if as_text else [json_line])],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_Stderr,
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.handlers = [_LibraryHandler()]
    root.setLevel(max(level, logging.WARNING))
    logging.captureWarnings(True)  # celery warns when it runs as root
    sys.excepthook = lambda *fault: _log_crash(fault)
    threading.excepthook = lambda args: _log_crash((args.exc_type, args.exc_value, args.exc_traceback))
    if not as_text:  # a reader of JSON lines fails at any other line
        sys.stdout, sys.stderr = _PrintedLines("stdout"), _PrintedLines("stderr")


def _region_processors(region: Region | None) -> list[structlog.typing.Processor]:
    """Return the processor that adds the region to each event, if there is one."""
    if region is None:
        return []

    def name_region(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        event.setdefault("region", str(region))
        return event

    return [name_region]


def _log_crash(fault: tuple[Any, ...]) -> None:
    if not issubclass(fault[0], (KeyboardInterrupt, SystemExit)):
        structlog.get_logger().critical("crashed", exc_info=fault)


def _text_processors() -> list[structlog.typing.Processor]:
    return [_with_traceback, scrub, partial(text_line, _use_colours())]


_WIDTHS = {"event": 18, "region": 3, "verdict": 19}
"""The first columns of a text line after its time and level, with their widths in characters."""

_COLOURS = {"warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}
_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"


def text_line(colours: bool, _logger: object, method: str, event: structlog.typing.EventDict) -> str:  # noqa: FBT001 - a partial
    """Return an event as a line of text: time, level, event, region and verdict in columns, then the rest."""
    fault = event.pop("exception", "")
    level = {"exception": "error"}.get(method, method)
    columns = [f"{event.pop(name, '') or '':<{width}}" for name, width in _WIDTHS.items()]
    rest = " ".join(f"{name}={_quoted(value)}" for name, value in event.items() if value is not None)
    words = [f"{level:<8}", *columns, rest]
    if colours:
        words = [_COLOURS.get(level, "") + words[0] + _PLAIN, _BOLD + words[1] + _PLAIN, *words[2:]]
    line = " ".join([time.strftime("%H:%M:%S"), *words]).rstrip()
    return f"{line}\n{fault}" if fault else line


def _quoted(value: object) -> str:
    """Return a value as text, in quotes if it is empty or has spaces."""
    text = str(value)
    return repr(text) if not text or " " in text else text


def _use_colours() -> bool:
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR")
