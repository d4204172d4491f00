"""Settings of the console: under which URL people reach it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gaugepost.settings.group import Group
from gaugepost.settings.types import UrlTemplate


class ConsoleSettings(Group):
    """The console: its URL."""

    console_url: Annotated[
        UrlTemplate | None,
        Field(
            description="URL of the [console](docs/console.md) for its users, such as `https://gaugepost.example.com`. "
            "`users link` prints it, and sessions behind it need TLS"
        ),
    ] = None
