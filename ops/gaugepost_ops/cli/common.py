"""What all commands share: exit codes, error messages, notes on stderr, rows on stdout, the regions' ledgers.

`aliases.py` has what `--configuration` means and how commands show a configuration.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import contextmanager
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import redis
import typer

from gaugepost.client import Producer
from gaugepost.connection import NOT_SET
from gaugepost.durations import moment
from gaugepost.errors import (
    BatchConflict,
    ClusterNotSupported,
    GaugepostError,
    InvalidJob,
    InvalidQuery,
    NotPermitted,
    SettingsError,
    StoreFull,
    StoreUnreachable,
)
from gaugepost.settings import Settings
from gaugepost_ops import embedded_redis
from gaugepost_ops.cli import host_settings
from gaugepost_ops.cli.output.formatting import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import timedelta

    from rich.console import Console

    from gaugepost.ledger import Ledger
    from gaugepost.regions import Region

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")]
ShowData = Annotated[
    bool, typer.Option("--show-data", help="Also show personal data: the job's content and messages that quote a row.")
]


NO_SUCH_JOB = "no such job"
WHERE_JOBS = "`gaugepost jobs` lists all jobs; ended jobs are deleted after GAUGEPOST_RETENTION_…"
WHERE_UPLOADS = "`gaugepost jobs --kind file` lists all parts; `gaugepost job ID` shows the upload of a part"
"""The next action for an id that no region knows."""


class Exit(IntEnum):
    """The exit codes, which are public (`docs/commands.md`). 130 is what shells use for Ctrl-C."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NO_REDIS = 3
    NOT_PERMITTED = 4
    """Redis answers, but gaugepost cannot work with it: its user lacks a right, or it is a cluster. A restart does not
    help, so the systemd units do not restart after this code."""
    INTERRUPTED = 130


class Kind(StrEnum):
    """The kinds of job, for options."""

    RECORD = "record"
    PERSONAL_LINK = "personal_link"
    CLOSE_LOOP = "close_loop"
    RESPONSE = "response"
    FILE = "file"
    FILE_DELETE = "file_delete"


class FamilyName(StrEnum):
    """The families of files, for options."""

    TRANSACTIONAL = "transactional"
    CONTACT = "contact"
    HISTORICAL = "historical"
    ACTIVITY = "activity"


class Failure(Exception):  # noqa: N818 - it ends a command; commands raise it on purpose
    """Ends a command with a message on stderr and an exit code. `then` is the next action, on a line of its own."""

    def __init__(self, code: Exit, message: str, then: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.then = then


def note(message: str) -> None:
    """Write one line to stderr, with control characters escaped."""
    sys.stderr.write(printable(message) + "\n")


def exit_code(error: BaseException) -> Exit:
    """Return the exit code of an error."""
    match error:
        case Failure():
            return error.code
        case StoreUnreachable():
            return Exit.NO_REDIS
        case SettingsError() | InvalidJob() | InvalidQuery() | BatchConflict():
            return Exit.USAGE
        case NotPermitted() | ClusterNotSupported():
            return Exit.NOT_PERMITTED
        case _:
            return Exit.FAILED


@contextmanager
def reported_errors() -> Iterator[None]:
    """Turn expected errors into a message on stderr and an exit code. Other exceptions are bugs and pass."""
    try:
        yield
        sys.stdout.flush()
    except KeyboardInterrupt:
        raise typer.Exit(Exit.INTERRUPTED) from None
    except BrokenPipeError:  # `gaugepost jobs | head`: `head` ended first, which is not a failure
        _drop_stdout()
        raise typer.Exit(Exit.DONE) from None
    except (Failure, GaugepostError) as error:
        note(f"{error}{_redis_address() if isinstance(error, StoreUnreachable) else ''}")
        if then := _next_action(error):
            note(f"  {then}")
        raise typer.Exit(exit_code(error)) from None


def _next_action(error: BaseException) -> str:
    """Return the next action after an error; empty if the message has it already."""
    match error:
        case Failure():
            return error.then
        case StoreUnreachable() if isinstance(error.__cause__, redis.AuthenticationError):
            return "this Redis does not accept the user or the password: correct them in GAUGEPOST_REDIS_URL"
        case StoreUnreachable() if isinstance(error.__cause__, redis.TimeoutError):
            return "a firewall may block the way, or Redis is stopped or still loads its data: try again in a moment"
        case StoreUnreachable() if error.__cause__ is not None:
            return "check that Redis runs and that the address is right: `gaugepost check` tests each region"
        case StoreFull():
            return "nothing was stored. Workers go on, and each delivered job frees memory: see docs/redis.md"
        case _:
            return ""


def _redis_address() -> str:
    """Return the address of the Redis that could not be reached, without its password."""
    url = Settings.load().redis_url
    if url is None:
        return ""
    _, _, place = url.get_secret_value().rpartition("@")
    return f" (GAUGEPOST_REDIS_URL: {place.rpartition('://')[2].partition('?')[0]})"


def _drop_stdout() -> None:
    """Send the rest of stdout to /dev/null, so that the interpreter does not fail on the closed pipe when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def operator_settings() -> Settings:
    """Read the settings of a command, and find its Redis.

    The first that exists: GAUGEPOST_REDIS_URL; the embedded Redis that `up` or `demo` runs in this folder; the settings
    of this machine's systemd units. Raises SettingsError if there is none of them.
    """
    settings = Settings.load()
    if settings.redis_url is not None:
        return settings
    if (running := embedded_redis.join_running()) is not None:
        url, folder = running
        note(f"using the embedded Redis of {folder}")
        return Settings.load(redis_url=url)
    if (of_units := host_settings.read_host_settings()) is not None:
        note(f"using the settings of {host_settings.HOST_FILE}")
        return of_units
    raise SettingsError(NOT_SET)


def open_producer(settings: Settings | None = None) -> Producer:
    """Return a producer with these settings, or with those of `operator_settings`. Raises SettingsError."""
    return Producer(settings or operator_settings())


def given_time(option: str, text: str | None) -> float | None:
    """Parse the time of an option, Unix seconds: with its offset, or as a duration ago. Raises Failure."""
    if text is None:
        return None
    parsed = given_moment(option, text)
    return max(0.0, parsed.timestamp() if isinstance(parsed, datetime) else time.time() - parsed.total_seconds())


def given_moment(option: str, text: str) -> datetime | timedelta:
    """Parse the time or the duration of an option. Raises Failure."""
    try:
        return moment(text)
    except ValueError as error:
        raise Failure(Exit.USAGE, f"{option}: {error}") from None


def served(settings: Settings, region: Region) -> Region:
    """Return `region` if it is one of GAUGEPOST_REGIONS; else raise Failure (exit code 2)."""
    if region not in settings.regions:
        raise Failure(Exit.USAGE, f"--region: {region} is not one of GAUGEPOST_REGIONS ({', '.join(settings.regions)})")
    return region


class RegionLedgers:
    """The ledgers of the regions that a command reads, one after another.

    Each region may have its own Redis. If one of them is down, the command names it on stderr, skips it from then on,
    and still reads the others. `require_all_reached` then ends the command with exit code 3.
    """

    def __init__(self, producer: Producer, only: Region | None = None, *, quiet: bool = False) -> None:
        """Take all regions of `producer`, or `only` this one; `quiet`: do not name unreachable regions on stderr.

        Raises Failure if `only` is not one of GAUGEPOST_REGIONS.
        """
        settings = producer.settings
        self.names = (served(settings, only),) if only else settings.regions
        self._quiet = quiet
        self._unreachable: dict[Region, StoreUnreachable] = {}
        self._producer = producer
        self._each_has_its_own_redis = settings.redis_url is not None and (
            "{region}" in settings.redis_url.get_secret_value()
        )

    def ledgers(self) -> Iterator[Ledger]:
        """Yield the ledger of each region that has not failed so far. Read it inside `skip_unreachable`."""
        for region in self.names:
            if region not in self._unreachable:
                yield self._producer.ledger(region)

    @contextmanager
    def skip_unreachable(self, region: Region) -> Iterator[None]:
        """Skip the region from now on if its Redis cannot be reached.

        Raises StoreUnreachable where all regions share one Redis.
        """
        try:
            yield
        except StoreUnreachable as error:
            if not self._each_has_its_own_redis:
                raise
            if not self._quiet:
                note(f"{region}: {error}")
            self._unreachable[region] = error

    def require_all_reached(self) -> None:
        """Raise Failure (exit code 3) if a region could not be reached."""
        if self._unreachable:
            raise Failure(Exit.NO_REDIS, f"not reached: {', '.join(self._unreachable)}")


def write_row(row: Mapping[str, Any]) -> None:
    """Write one JSON object as a line of stdout. It is ASCII, so that it is readable in every locale."""
    sys.stdout.write(json.dumps(row, separators=(", ", ": ")) + "\n")


def write_rows(rows: Iterable[Mapping[str, Any]]) -> None:
    """Write JSON objects as lines of stdout, and flush them."""
    for row in rows:
        write_row(row)
    sys.stdout.flush()


def console() -> Console:
    """Return a rich console on stdout. It escapes control characters, and in a pipe it does not fold lines."""
    from gaugepost_ops.cli.output.safe_console import SafeConsole  # noqa: PLC0415 - --json and errors do without rich

    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    return SafeConsole(highlight=False, markup=False, emoji=False, soft_wrap=not sys.stdout.isatty())
