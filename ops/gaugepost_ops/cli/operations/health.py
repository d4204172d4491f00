"""`gaugepost health worker|beat|region`, for probes. Exit codes: 0 well, 1 not well, 3 Redis cannot be reached.

A probe runs every few seconds, so this imports neither Celery nor rich, and asks Redis once, for a second at most.
"""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import asdict, dataclass
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Annotated

import typer

from gaugepost import durations
from gaugepost.connection import connect_briefly
from gaugepost.errors import StoreError
from gaugepost.ledger import Ledger
from gaugepost.ledger.explanations import meaning
from gaugepost.ledger.presence import start_worker
from gaugepost.regions import Region  # noqa: TC001 - typer reads it at run time
from gaugepost_ops.cli.common import AsJson, Exit, operator_settings, served, write_rows
from gaugepost_ops.cli.output.formatting import age, printable
from gaugepost_ops.cli.output.text_layout import fold
from gaugepost_workers.heartbeat import read_heartbeats
from gaugepost_workers.redis_trouble import redis_trouble

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gaugepost.ledger import Hold
    from gaugepost.settings import Settings
    from gaugepost_workers.heartbeat import HeartbeatReading

app = typer.Typer(add_completion=False, rich_markup_mode="markdown", no_args_is_help=True)


def _duration(text: str) -> float:
    try:
        return durations.seconds(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


MaxAge = Annotated[
    float,
    typer.Option(
        parser=_duration, metavar="AGE", help="How old its last heartbeat may be: 30s, 5m.", show_default="1m"
    ),
]
MaxWait = Annotated[
    float,
    typer.Option(parser=_duration, metavar="AGE", help="How long an urgent job may wait: 30s, 5m.", show_default="5m"),
]
IgnoreRedis = Annotated[
    bool,
    typer.Option("--ignore-redis", help="Exit with 0 if only Redis is unreachable: a restart would not help then."),
]


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether a process or a region is well (`code`), and why."""

    what: str
    region: str | None
    code: Exit
    why: str

    def __str__(self) -> str:
        """Return the line for people: `worker eu: well: 2 processes, …`."""
        verdict = {Exit.DONE: "well", Exit.NO_REDIS: "Redis is away"}.get(self.code, "not well")
        return f"{' '.join(filter(None, (self.what, self.region)))}: {verdict}: {self.why}"

    def to_dict(self) -> dict[str, object]:
        """Return the row of --json."""
        return asdict(self) | {"well": self.code is Exit.DONE, "code": int(self.code)}


@app.callback()
def health() -> None:
    """Check a process or a region, for probes. Exit codes: 0 well, 1 not well, 3 Redis cannot be reached.

    Examples: `gaugepost health worker --region eu --ignore-redis` as a liveness probe, `gaugepost health region` for
    the person on call
    """


@app.command()
def worker(
    region: Annotated[Region | None, typer.Option(help="Only workers of this region.")] = None,
    max_age: MaxAge = "1m",  # type: ignore[assignment] # parsed
    *,
    ignore_redis: IgnoreRedis = False,
    as_json: AsJson = False,
) -> int:
    """Check whether the workers on this machine (or in this container) still take work.

    A worker renews its heartbeat only while its consumer reads from Redis, its threads take the messages, and its
    dispatcher runs or is idle.

    Example: `gaugepost health worker --region eu --max-age 30s`
    """
    settings = operator_settings()
    regions = (served(settings, region),) if region else settings.regions
    found = {one: read_heartbeats(settings, f"worker-{one}") for one in regions}
    if region is None:  # regions without a worker on this machine are normal
        found = {one: heartbeats for one, heartbeats in found.items() if heartbeats} or {None: []}  # type: ignore[dict-item]
    return _report(
        (
            _process_finding(settings, "worker", one, heartbeats, max_age, ignore_redis=ignore_redis)
            for one, heartbeats in found.items()
        ),
        as_json=as_json,
    )


@app.command()
def beat(
    region: Annotated[Region | None, typer.Option(help="Ask the Redis of this region alone.")] = None,
    max_age: MaxAge = "1m",  # type: ignore[assignment]
    *,
    ignore_redis: IgnoreRedis = False,
    as_json: AsJson = False,
) -> int:
    """Check whether beat on this machine (or in this container) still ticks. One beat ticks for all regions.

    Example: `gaugepost health beat`
    """
    settings = operator_settings()
    of = served(settings, region) if region else None
    found = _process_finding(
        settings, "beat", of, read_heartbeats(settings, "beat"), max_age, ignore_redis=ignore_redis
    )
    return _report([found], as_json=as_json)


@app.command()
def region(
    regions: Annotated[list[Region] | None, typer.Argument(metavar="[REGION]...", help="Default: all.")] = None,
    region: Annotated[list[Region] | None, typer.Option("--region", help="The same as an option.")] = None,
    max_age: MaxWait = "5m",  # type: ignore[assignment]
    *,
    as_json: AsJson = False,
) -> int:
    """Check whether an urgent job of a region has waited longer than --max-age, for any reason.

    Parked jobs do not count, since they wait until a set time. Jobs of a held region count.

    Example: `gaugepost health region eu --max-age 2m`
    """
    settings = operator_settings()
    named = dict.fromkeys([*(regions or ()), *(region or ())])
    asked = [served(settings, one) for one in named or settings.regions]
    return _report((_backlog_finding(settings, one, max_age) for one in asked), as_json=as_json)


def _report(findings: Iterable[Finding], *, as_json: bool) -> int:
    """Print the findings. Return the worst exit code: 1 (not well) before 3 (no Redis) before 0."""
    codes = set[int]()
    for found in findings:
        codes.add(found.code)
        if as_json:
            write_rows([found.to_dict()])
        else:
            sys.stdout.write("\n    ".join(_lines(printable(str(found)))) + "\n")
    return next(code for code in (Exit.FAILED, Exit.NO_REDIS, Exit.DONE) if code in codes)


def _lines(text: str) -> list[str]:
    """Fold a line for a terminal; keep it whole in a pipe."""
    return fold(text, get_terminal_size().columns - 4) if sys.stdout.isatty() else [text]


def _process_finding(
    settings: Settings,
    what: str,
    of: Region | None,
    heartbeats: Sequence[HeartbeatReading],
    max_age: float,
    *,
    ignore_redis: bool,
) -> Finding:
    if not heartbeats:
        command = f"gaugepost {what}" + (f" --region {of or '…'}" if what == "worker" else "")
        return Finding(what, of, Exit.FAILED, f"none runs on this machine; start one: {command}")
    away = redis_trouble(settings, of)
    stuck = [reading for reading in heartbeats if reading.age_s > max_age]
    if away and not ignore_redis:
        return Finding(what, of, Exit.NO_REDIS, away)
    if stuck and not away:
        pids = ", ".join(str(reading.pid) for reading in stuck)
        last = f"last heartbeat {age(stuck[-1].age_s)} ago, allowed {age(max_age)}"
        return Finding(what, of, Exit.FAILED, f"process {pids} does not {_DUTY[what]} any more: {last}")
    count = f"{len(heartbeats)} process{'es' if len(heartbeats) > 1 else ''}"
    return Finding(what, of, Exit.DONE, away or f"{count}, last heartbeat {heartbeats[-1].age_s:.1f} s ago")


_DUTY = {"worker": "take work", "beat": "tick"}


def _held(hold: Hold) -> str:
    return f"held: {hold.reason}" + (f" ({meaning(hold)})" if meaning(hold) else "")


def _backlog_finding(settings: Settings, of: Region, max_age: float) -> Finding:
    try:
        with closing(connect_briefly(settings, of)) as client:
            ledger = Ledger(client, of, settings)
            waits, no_worker = ledger.oldest_urgent_age(), ledger.presence().no_worker()
            held = ledger.holds().get("") if waits is not None and waits > max_age else None
    except StoreError as error:
        return Finding("region", of, Exit.NO_REDIS, str(error))
    no_worker_text = f"; {no_worker}; start one: {start_worker(of)}" if no_worker else ""
    if waits is None:
        return Finding("region", of, Exit.DONE, f"no urgent job waits{no_worker_text}")
    text = f"the oldest urgent job waits for {age(waits)}, allowed {age(max_age)}"
    if waits <= max_age:
        return Finding("region", of, Exit.DONE, text + no_worker_text)
    look = "" if no_worker_text else f"; see gaugepost status, and gaugepost jobs --region {of} --state queued"
    then = f"; {_held(held)}" if held else look
    return Finding("region", of, Exit.FAILED, text + then + no_worker_text)
