"""`gaugepost move`: take a region to another Redis, or to the names of its namespace."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path  # noqa: TC003 - typer reads it at run time
from typing import TYPE_CHECKING, Annotated

import typer

from gaugepost.connection import connect
from gaugepost.errors import SettingsError, StoreError
from gaugepost.keys import Keys
from gaugepost.ledger.scripts import our_errors
from gaugepost.regions import Region  # noqa: TC001 - typer reads it at run time
from gaugepost.settings import Settings
from gaugepost_ops.cli.common import Exit, Failure, exit_code, note, served
from gaugepost_ops.cli.output.progress import bar
from gaugepost_ops.relocation import Move

if TYPE_CHECKING:
    import redis

_WORTH_A_BAR = 2_000
_EXPECTED = "expected a file with one line: the URL of the other Redis, as it will stand in GAUGEPOST_REDIS_URL"
_AS_BEFORE = "nothing was moved, and the region goes on where it is: does the other Redis run, is its URL right?"


def move(
    region: Annotated[Region, typer.Argument(help="The region to move.")],
    to_file: Annotated[
        Path | None,
        typer.Option(
            "--to-file",
            metavar="FILE",
            help="A file with the URL of the other Redis: no secret is said here. Left out, the region stays in its "
            "Redis, and its keys get the names of the namespace.",
        ),
    ] = None,
) -> int:
    """Move a region to another Redis, or to the names of its namespace: all its jobs, holds, uploads and results.

    End the region's workers first. From then on everything with the old URL is refused, and told why, until it is
    started anew with the new one; without --to-file, everything of a version before 0.1.0. A move that was cut is taken
    up by the same call.

    Example: `gaugepost move eu --to-file /run/secrets/new_redis_url`
    """
    settings = Settings.load()
    served(settings, region)
    with closing(connect(settings, region)) as old, closing(_there(to_file, region) if to_file else old) as new:
        step = Move(old, new, Keys(region, settings.namespace))
        step.check()
        step.close()
        names = step.names()
        with bar("moving", len(names), worth=_WORTH_A_BAR) as advance:
            for moved in step.copy(names):
                advance(moved)
        step.open()
        if to_file is None:
            step.take_bells_away()
    sys.stdout.write(f"{region}: {len(names)} keys moved\n")
    if to_file is not None:
        note("now set GAUGEPOST_REDIS_URL to the new place in services, workers, beat and Flower, and start them anew")
    return Exit.DONE


def _there(to_file: Path, region: Region) -> redis.Redis:
    """Reach the other Redis. Raises Failure that names the file: GAUGEPOST_REDIS_URL is not what is wrong."""
    try:
        url = to_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise Failure(Exit.USAGE, f"--to-file: {to_file}: cannot be read: {why}", _EXPECTED) from None
    try:
        client = connect(Settings.load(redis_url=url), region)
    except SettingsError:
        raise Failure(Exit.USAGE, f"--to-file: {to_file}: there is no URL of a Redis in it", _EXPECTED) from None
    try:
        with our_errors():
            client.ping()
    except StoreError as error:
        raise Failure(exit_code(error), f"--to-file: {to_file}: {error}", _AS_BEFORE) from None
    return client
