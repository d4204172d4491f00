"""`gaugepost hold`, `resume` and `holds`: stop and resume a region, a configuration, endpoints or a credential."""

from __future__ import annotations

import shlex
import sys
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gaugepost.ledger.explanations import action, explained, failed_probes, meaning, opened_by
from gaugepost.regions import Region
from gaugepost_ops.cli.aliases import aliased, reference
from gaugepost_ops.cli.audited import audited_producer
from gaugepost_ops.cli.common import (
    AsJson,
    Exit,
    Failure,
    RegionLedgers,
    console,
    given_moment,
    note,
    open_producer,
    write_rows,
)
from gaugepost_ops.cli.common import served as is_served
from gaugepost_ops.cli.jobs.groups import scope_options
from gaugepost_ops.cli.missing_workers import MissingWorkers
from gaugepost_ops.cli.output.formatting import clock, counted, printable
from gaugepost_ops.cli.output.text_layout import fold_command, print_hanging, terminal_width

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gaugepost.client import Producer
    from gaugepost.ledger import Hold, Ledger


_INDENT = 4


class Credentials(StrEnum):
    """The credentials that endpoints need."""

    OAUTH = "oauth"
    API_KEY = "api_key"


class Endpoints(StrEnum):
    """The families of endpoints. CustomerGauge may throttle each family separately."""

    IMPORTS = "imports"
    CLOSE_LOOP = "close_loop"
    RESPONSES = "responses"
    UPLOADS = "uploads"


RegionArgument = Annotated[Region, typer.Argument(metavar="REGION", help="eu, us or au.")]
ConfigurationOption = Annotated[
    str | None, typer.Option(help="Only this inbound mapping: its reference, or its alias.", metavar="C")
]
CredentialsOption = Annotated[
    Credentials | None,
    typer.Option(help="Only kinds that need these credentials (api_key: response, file, file_delete)."),
]

EndpointsOption = Annotated[
    Endpoints | None, typer.Option(help="Only kinds of these endpoints (imports: record, personal_link).")
]
BatchOption = Annotated[str | None, typer.Option(help="Only this batch, which its canary has stopped.", metavar="B")]


def hold(
    region: RegionArgument,
    reason: Annotated[str, typer.Option(help="Why; each job that waits for it shows the reason.", metavar="WHY")],
    configuration: ConfigurationOption = None,
    credentials: CredentialsOption = None,
    endpoints: EndpointsOption = None,
    until: Annotated[
        str | None, typer.Option(help="When it ends: 2026-11-22T18:00+01:00, or 30m, 2h, 1d from now.", metavar="T")
    ] = None,
    by: Annotated[str | None, typer.Option(help="Who; default: user@host.", metavar="WHO")] = None,
) -> None:
    """Stop sending to a region, or to one configuration in it. Its jobs wait where they are.

    Services can still enqueue. Requests that are already running are not stopped. The hold ends with `resume`, or at
    --until. It replaces a hold that gaugepost opened itself (circuit breaker, missing mapping), so no probe is sent.

    Example: `gaugepost hold eu --configuration 5350… --reason "mapping is being changed" --until 2h`
    """
    with audited_producer("hold", region=region, reason=reason) as (producer, audit):
        if not reason.strip():
            raise Failure(Exit.USAGE, "--reason: expected a text, which explains to others why the jobs wait")
        ends = _until(until)
        ledger = producer.ledger(is_served(producer.settings, region))
        scope = _scope(producer, region, configuration, credentials, endpoints)
        audit.name(scope)
        audit.begin(region)
        before = ledger.holds().get(scope)
        if not ledger.hold(scope, reason, by or audit.actor, **ends):
            raise Failure(Exit.USAGE, "--until: expected a time in the future")
        audit.count(region)
        _print(ledger.holds().get(scope), region)
    if before is not None:
        note(f"it replaces the hold by {before.by}: {before.reason}")


def resume(
    region: RegionArgument,
    configuration: ConfigurationOption = None,
    credentials: CredentialsOption = None,
    endpoints: EndpointsOption = None,
    batch: BatchOption = None,
) -> int:
    """Lift a hold, of a person or of gaugepost itself. Its jobs go on in order, parked ones at most 200 per second.

    If the fault is still there, gaugepost opens the hold again after a few requests. Exit code 1: no such hold.

    Example: `gaugepost resume eu --configuration 5350…`
    """
    with audited_producer("resume", region=region) as (producer, audit):
        ledger = producer.ledger(is_served(producer.settings, region))
        scope = _scope(producer, region, configuration, credentials, endpoints, batch)
        audit.name(scope)
        audit.begin(region)
        before, [kept] = ledger.holds().get(scope), ledger.kept_by([scope])
        if not ledger.resume(scope, audit.actor):
            _note_other_holds(ledger, scope)
            return audit.ended(Exit.FAILED)
        audit.count(region)
    sys.stdout.write(f"{_name(region, scope)}: resumed, {counted(kept, 'job goes', 'jobs go')} on\n")
    if before is not None:
        note(f"it was held by {before.by} since {clock(before.since)}: {before.reason}")
    return Exit.DONE


def holds(
    region: Annotated[Region | None, typer.Option(help="Only this region's.")] = None, *, as_json: AsJson = False
) -> None:
    """List all holds: why, by whom, until when, the next probe, how many jobs wait, and the command that lifts it.

    For a configuration, credentials or endpoints, a job counts once a worker has tried to send it. Until then it is
    queued.

    Example: `gaugepost holds --json`
    """
    found, missing_workers = 0, MissingWorkers()
    with open_producer() as producer:
        regions = RegionLedgers(producer, region)
        for ledger in regions.ledgers():
            with regions.skip_unreachable(ledger.region):
                found += _list(ledger, producer, missing_workers, as_json=as_json)
        regions.require_all_reached()
    if not found and not as_json:
        note("no holds")
    missing_workers.note()


def _list(ledger: Ledger, producer: Producer, missing_workers: MissingWorkers, *, as_json: bool) -> int:
    if as_json:
        rows = hold_rows(ledger, producer)
        write_rows(row for _, row in rows)
        missing_workers.add(ledger.region, ledger.presence().no_worker())
        return len(rows)
    active = _active(ledger)
    for one, waiting in active:
        _print(one, ledger.region, waiting)
    sys.stdout.flush()
    missing_workers.add(ledger.region, ledger.presence().no_worker())
    return len(active)


def _active(ledger: Ledger) -> list[tuple[Hold, int]]:
    """Return the holds of a region, each with the number of jobs that it keeps."""
    active = sorted(ledger.holds().items())
    kept = ledger.kept_by([scope for scope, _ in active]) if active else []
    return [(one, waiting) for (_, one), waiting in zip(active, kept, strict=True)]


def hold_rows(ledger: Ledger, producer: Producer) -> list[tuple[str, dict[str, Any]]]:
    """Return the scopes of a region's holds, each with its row of `holds --json`."""
    workers = {"workers": ledger.presence().workers}
    rows = [(one.scope, _row(one, ledger.region, waiting) | workers) for one, waiting in _active(ledger)]
    return [(scope, aliased(row, producer)) for scope, row in rows]


def _row(one: Hold, region: Region, waiting: int) -> dict[str, Any]:
    sort, _, name = one.scope.partition(":")
    place = {"configuration": None, "credentials": None, "endpoints": None, "batch": None} | (
        {sort: name} if sort else {}
    )
    return {"region": str(region), **place, **explained(one, region), "waiting": waiting}


def _print(one: Hold | None, region: Region, waiting: int | None = None) -> None:
    """Print a hold for people. None: another call has lifted it since."""
    if one is None:
        return
    ends = f"until {clock(one.until)}" if one.until else f"next probe {clock(one.probe_at)}" if one.probe_at else ""
    facts = [f"by {one.by} since {clock(one.since)}", ends, "" if waiting is None else f"{waiting:,} wait"]
    reason = f"{one.reason} ({meaning(one)})" if meaning(one) else one.reason
    from rich.text import Text  # noqa: PLC0415 - --json does without rich

    out = console()
    name = printable(_name(region, one.scope))
    print_hanging(out, Text(f"{name}:", "yellow"), printable(reason), at=len(name) + 2, style="yellow")
    for line in (", ".join(filter(None, facts)), *_why(one), action(one, region)):
        if line:
            print_hanging(out, Text(), printable(line), at=_INDENT)
    command = printable(shlex.join(["gaugepost", "resume", region, *scope_options(one.scope)]))
    out.print(fold_command(command, terminal_width(out), indent=_INDENT), style="dim", soft_wrap=True)


def _why(one: Hold) -> Iterator[str]:
    if one.cause:
        yield f"opened by {opened_by(one, clock)}"
    yield failed_probes(one, clock)


def _name(region: Region, scope: str) -> str:
    return " ".join([region, *scope_options(scope)])


def _note_other_holds(ledger: Ledger, scope: str) -> None:
    """Note that there is no such hold, and which holds the region has."""
    others = ", ".join(_name(ledger.region, other) for other in ledger.holds())
    facts = f"{ledger.region} has no hold; `gaugepost holds` lists those of all regions"
    if others:
        facts = f"the holds of {ledger.region} are: {others}"
    note(f"{_name(ledger.region, scope)}: no hold; {facts}")


def _scope(
    producer: Producer,
    region: Region,
    configuration: str | None,
    credentials: Credentials | None,
    endpoints: Endpoints | None,
    batch: str | None = None,
) -> str:
    if sum(one is not None for one in (configuration, credentials, endpoints, batch)) > 1:
        raise Failure(Exit.USAGE, "expected one of --configuration, --credentials, --endpoints and --batch")
    if batch is not None:
        return f"batch:{batch}"
    if configuration is not None:
        return f"configuration:{reference(producer, configuration, region)}"
    if credentials is not None:
        return f"credentials:{credentials}"
    return f"endpoints:{endpoints}" if endpoints else ""


def _until(text: str | None) -> dict[str, int]:
    """Read --until: a time or a duration. A duration starts at the time of Redis' clock. Raises Failure."""
    if text is None:
        return {}
    parsed = given_moment("--until", text)
    if isinstance(parsed, timedelta):
        return {"lasts_ms": int(parsed.total_seconds() * 1000)}
    return {"until_ms": int(parsed.timestamp() * 1000)}
