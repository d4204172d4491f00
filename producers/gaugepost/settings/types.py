"""The types of values that several groups of settings use."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field

from gaugepost import durations

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_URL = re.compile(r"(?ai)[a-z]+://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?(?:/[\w.~!$&'()*+,;=:@%-]*)*")
"""A URL without user name and password, because logs show it; and without anything that URL parsers disagree on."""


def _url_template(text: str) -> str:
    filled = text.replace("{region}", "eu")
    if not _URL.fullmatch(filled):
        raise ValueError("expected a URL with host, port and path only; {region} is the only placeholder")
    parts = urlsplit(filled)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise ValueError("expected https:// (http:// is allowed for localhost only)")
    return text.rstrip("/")


def _seconds(value: object) -> object:
    return durations.seconds(value) if isinstance(value, str | int | float) else value


def read_schedule(value: object) -> object:
    """Parse waits such as `5m,30m,2h`; leave a value of another type to pydantic."""
    return durations.schedule(str(value)) if isinstance(value, str | int | float) else value


UrlTemplate = Annotated[str, AfterValidator(_url_template)]
Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0)]
