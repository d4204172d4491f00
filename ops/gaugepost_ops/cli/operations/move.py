"""`gaugepost move`: move a region to another Redis, or rename its keys to the names of its namespace."""

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
from gaugepost_ops.cli.audited import audited
from gaugepost_ops.cli.common import Exit, Failure, exit_code, note, served
from gaugepost_ops.cli.output.progress import bar
from gaugepost_ops.relocation import Relocation

if TYPE_CHECKING:
    import redis

_WORTH_A_BAR = 2_000
_EXPECTED = "expected a file with one line: the URL of the other Redis, as GAUGEPOST_REDIS_URL will have it"
_NOTHING_MOVED = "nothing was moved; the region works as before. Check that the other Redis runs and its URL is right"


def move(
    region: Annotated[Region, typer.Argument(help="The region to move.")],
    to_file: Annotated[
        Path | None,
        typer.Option(
            "--to-file",
            metavar="FILE",
            help="A file with the URL of the other Redis (a file, because the URL is a secret). Without it, the region "
            "stays in its Redis, and its keys are renamed to the names of the namespace.",
        ),
    ] = None,
) -> int:
    """Move a region to another Redis, or rename its keys: all its jobs, holds, uploads and results.

    Stop the region's workers first. From then on the ledger refuses every process with the old URL, with an error that
    names the reason, until it is restarted with the new URL. Without --to-file, it refuses every process of a version
    before 0.1.0. If a move was interrupted, call the same command again.

    Example: `gaugepost move eu --to-file /run/secrets/new_redis_url`
    """
    with audited("move", region=region, target="new Redis" if to_file else "new names") as audit:
        audit.settings = settings = Settings.load()
        moved = _move(served(settings, region), settings, to_file)
        audit.count(region, moved)
        if to_file is not None:  # the old ledger is closed now
            audit.settings = Settings.load(redis_url=_read_url(to_file))
    sys.stdout.write(f"{region}: {moved} keys moved\n")
    if to_file is not None:
        note("now set GAUGEPOST_REDIS_URL to the new URL for services, workers, beat and Flower, and restart them")
    return Exit.DONE


def _move(region: Region, settings: Settings, to_file: Path | None) -> int:
    """Move the keys. Return their number."""
    with (
        closing(connect(settings, region)) as old,
        closing(_connect_target(to_file, region) if to_file else old) as new,
    ):
        relocation = Relocation(old, new, Keys(region, settings.namespace))
        relocation.check()
        relocation.close()
        names = relocation.names()
        with bar("moving", len(names), worth=_WORTH_A_BAR) as advance:
            for moved in relocation.copy(names):
                advance(moved)
        relocation.open()
        if to_file is None:
            relocation.remove_bells()
    return len(names)


def _connect_target(to_file: Path, region: Region) -> redis.Redis:
    """Connect to the other Redis. Raises Failure that names the file, since GAUGEPOST_REDIS_URL is not the cause."""
    try:
        client = connect(Settings.load(redis_url=_read_url(to_file)), region)
    except SettingsError:
        raise Failure(Exit.USAGE, f"--to-file: {to_file}: it has no URL of a Redis", _EXPECTED) from None
    try:
        with our_errors():
            client.ping()
    except StoreError as error:
        raise Failure(exit_code(error), f"--to-file: {to_file}: {error}", _NOTHING_MOVED) from None
    return client


def _read_url(to_file: Path) -> str:
    try:
        return to_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise Failure(Exit.USAGE, f"--to-file: {to_file}: cannot be read: {why}", _EXPECTED) from None
