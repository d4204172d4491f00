"""Settings of operators: who runs the commands."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gaugepost.settings.group import Group


class OperatorSettings(Group):
    """Operators: who runs commands."""

    actor: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=200,
            description="who runs commands, for the [audit trail](docs/audit.md) and the jobs' history; without it, "
            "`user@host`",
        ),
    ] = None
