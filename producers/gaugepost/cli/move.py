"""`gaugepost move`: take a region to another Redis."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path  # noqa: TC003 - typer reads it at run time
from typing import Annotated

import typer

from gaugepost.cli.common import Exit, Failure, note, served
from gaugepost.connection import connect
from gaugepost.keys import Keys
from gaugepost.ledger.moving import Move
from gaugepost.regions import Region  # noqa: TC001 - typer reads it at run time
from gaugepost.settings import Settings


def move(
    region: Annotated[Region, typer.Argument(help="The region to move.")],
    to_file: Annotated[
        Path,
        typer.Option(
            "--to-file", metavar="FILE", help="A file with the URL of the other Redis: no secret is said here."
        ),
    ],
) -> int:
    """Move a region from the configured Redis to another one: all its jobs, holds, uploads and results.

    End the region's workers first. From then on everything with the old URL is refused, and told why, until it is
    started anew with the new one. A move that was cut is taken up by the same call.

    Example: `gaugepost move eu --to-file /run/secrets/new_redis_url`
    """
    settings = Settings.load()
    served(settings, region)
    if settings.redis_url is None:
        raise Failure(Exit.USAGE, "an embedded Redis is not moved: set GAUGEPOST_REDIS_URL")
    with closing(connect(settings, region)) as old, closing(connect(_there(to_file), region)) as new:
        step = Move(old, new, Keys(region))
        step.check()
        step.close()
        moved = sum(step.copy())
        step.open()
    sys.stdout.write(f"{region}: {moved} keys moved\n")
    note("now set GAUGEPOST_REDIS_URL to the new place in services, workers, beat and Flower, and start them anew")
    return Exit.DONE


def _there(to_file: Path) -> Settings:
    try:
        return Settings.load(redis_url=to_file.read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(Exit.USAGE, f"--to-file: cannot be read: {type(error).__name__}") from None
