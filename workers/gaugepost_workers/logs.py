"""Logs: one line an event on stderr, for people on a terminal, JSON elsewhere. Ids and verdicts, never data.

What is told may come from Redis or from a library's exception, so passwords in URLs and whatever a terminal would
obey are taken out once more here, whoever logs.
"""

from __future__ import annotations

import logging
import re
import sys

import structlog

_PASSWORD = re.compile(r"(://[^/@\s:]*:)[^@\s]*@")


def scrub(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Take passwords and control characters out of all texts; a traceback keeps its lines."""
    return {name: _clean(text, name) if isinstance(text, str) else text for name, text in event.items()}


def _clean(text: str, name: str) -> str:
    if text.isprintable() and "://" not in text:
        return text
    masked = _PASSWORD.sub(r"\1***@", text)
    lines = masked.split("\n") if name == "exception" else [masked]
    return "\n".join("".join(c if c.isprintable() else "?" for c in line) for line in lines)


def set_up_logs(level: int = logging.INFO) -> None:
    """Set up structlog for this process."""
    terminal = sys.stderr.isatty()
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer(colors=True) if terminal else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            scrub,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
