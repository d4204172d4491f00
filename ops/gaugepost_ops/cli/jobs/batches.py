"""`gaugepost batch` and `gaugepost batches`: the progress of jobs that were enqueued under one name."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gaugepost.ledger.batch_views import BatchView, merged
from gaugepost.regions import Region
from gaugepost_ops.cli.common import AsJson, Exit, Failure, RegionLedgers, console, note, open_producer, write_rows
from gaugepost_ops.cli.output.formatting import clock, printable, wait
from gaugepost_ops.cli.output.state_text import STYLES
from gaugepost_ops.cli.output.text_layout import print_hanging

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from gaugepost.client import Producer

_EVERY_S = 1.0
_NEWEST = 100
_LOOKED_AT = 20
OfRegion = Annotated[Region | None, typer.Option(help="Only this region's.")]


def batch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The name of the batch.")],
    region: OfRegion = None,
    *,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show it again every second, until all jobs have ended.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Show a batch: its jobs by state and verdict, warnings, rate, forecast, and its canary.

    If the canary has stopped the batch, shows why, and the commands that go on or cancel the rest. Exit code 1: no
    region has the batch.

    Example: `gaugepost batch spring-2026 --watch`
    """
    with open_producer() as producer:
        while True:
            regions = RegionLedgers(producer, region)
            view = _read(regions, name)
            _write(producer, view, as_json=as_json)
            regions.require_all_reached()
            if not watch or not view.left:
                return Exit.DONE
            time.sleep(_EVERY_S)


def batches(region: OfRegion = None, *, as_json: AsJson = False) -> int:
    """List the batches of each region, the last changed first: at most 100 of them.

    A batch is deleted with the last of its jobs.

    Example: `gaugepost batches --json`
    """
    with open_producer() as producer:
        regions = RegionLedgers(producer, region)
        found: dict[str, dict[str, BatchView]] = {}
        for ledger in regions.ledgers():
            with regions.skip_unreachable(ledger.region):
                for view in ledger.batches.read(ledger.batches.newest(_NEWEST)):
                    if view is not None:
                        found.setdefault(view.name, {})[ledger.region] = view
        views = sorted(map(merged, found.values()), key=lambda view: -view.active)[:_NEWEST]
        if as_json:
            write_rows(view.to_dict() for view in views)
        for view in () if as_json else views:
            sys.stdout.write(printable(f"{view.name}  {_headline(view)}") + "\n")
        sys.stdout.flush()
        regions.require_all_reached()
    if not views and not as_json:
        note("no batches")
    return Exit.DONE


def _read(regions: RegionLedgers, name: str) -> BatchView:
    found: dict[str, BatchView] = {}
    for ledger in regions.ledgers():
        with regions.skip_unreachable(ledger.region):
            [view] = ledger.batches.read([name])
            found |= {} if view is None else {str(ledger.region): view}
    if not found:
        regions.require_all_reached()
        raise Failure(Exit.FAILED, f"no batch {name}", "`gaugepost batches` lists all; a batch ends with its last job")
    return merged(found)


def _write(producer: Producer, view: BatchView, *, as_json: bool) -> None:
    if as_json:
        write_rows([view.to_dict()])
    else:
        _print(console(), producer, view)


def _headline(view: BatchView) -> str:
    facts = [f"{view.total:,} jobs, {view.left:,} left"]
    facts += [f"in {', '.join(view.regions)}"] if view.regions else []
    facts += [f"canary {view.canary.state}"] if view.canary else []
    return ", ".join([*facts, f"last change {clock(view.active)}"])


def _print(out: Console, producer: Producer, view: BatchView) -> None:
    from rich.text import Text  # noqa: PLC0415 - --json does without rich

    out.print(printable(f"batch {view.name}: {_headline(view)}"), style="bold", soft_wrap=True)
    for name, value, style in _facts(producer, view):
        print_hanging(out, Text(f"  {name}", "dim"), printable(value), at=16, style=style)
    sys.stdout.flush()


def _held_words(view: BatchView) -> str:
    released = view.canary is not None and view.canary.state in {"passed", "resumed"}
    return "leave step by step" if released else "wait for the canary"


def _facts(producer: Producer, view: BatchView) -> Iterator[tuple[str, str, str]]:
    for state, number in view.states.items():
        more = f", {view.held:,} of them {_held_words(view)}" if state == "parked" and view.held else ""
        yield state, f"{number:,}{more}", STYLES.get(state, "")
    for verdict, number in view.verdicts.items():
        yield "  dead by", f"{verdict}: {number:,}", STYLES["dead"]
    if view.warnings:
        yield "warnings", f"{view.warnings:,} delivered jobs have one", STYLES["parked"]
    if view.rate:
        yield "rate", f"{view.rate:,.1f} jobs end in a second", ""
    if view.ends:
        yield "ends", f"{wait(view.ends, view.now)}, at this rate", ""
    for region, one in view.regions.items():
        yield from _canary(producer, Region(region), one)


def _canary(producer: Producer, region: Region, view: BatchView) -> Iterator[tuple[str, str, str]]:
    canary = view.canary
    if canary is None:
        return
    progress = f"{canary.ended:,} of {canary.size:,} have ended, {canary.faulty:,} not clean"
    match canary.state:
        case "running":
            yield f"canary {region}", f"running: {progress} (at most {canary.tolerance:g} % may be)", STYLES["sending"]
            for reason, number in _waiting(producer, region, canary.open).items():
                yield "", f"{number:,} of its jobs wait: {reason}", STYLES["parked"]
        case "held":
            yield f"canary {region}", f"stopped: {canary.reason}", STYLES["dead"]
            for what, command in _next_steps(region, view):
                yield "", f"{what}: {command}", ""
        case state:
            yield f"canary {region}", f"{state}: {canary.reason or progress}", ""


def _next_steps(region: Region, view: BatchView) -> Iterator[tuple[str, str]]:
    yield "look at its jobs", f"gaugepost jobs --batch {view.name} --state dead --region {region}"
    if view.held:
        yield "send the rest", f"gaugepost resume {region} --batch {view.name}"
        yield "cancel the rest", f"gaugepost cancel --batch {view.name} --region {region}"


def _waiting(producer: Producer, region: Region, ids: tuple[str, ...]) -> dict[str, int]:
    """Return why members of a canary wait → how many of the first 20 do."""
    reasons: dict[str, int] = {}
    views: list[Any] = producer.ledger(region).read(ids[:_LOOKED_AT])
    for view in views:
        if view is not None and view.why_waits:
            reasons[view.why_waits] = reasons.get(view.why_waits, 0) + 1
    return reasons
