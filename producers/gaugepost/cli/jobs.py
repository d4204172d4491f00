"""`gaugepost jobs`: list jobs. Streams: the first rows come at once, however many there are."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from gaugepost.cli.common import AsJson, Cells, Kind, clock, console, note, open_producer, printable, write_row
from gaugepost.cli.job import STYLES, why
from gaugepost.cli.lanes import Dues, shown
from gaugepost.ledger import JobView
from gaugepost.regions import Region  # noqa: TC001 - typer reads it at run time
from gaugepost.states import ENDED, JobState
from gaugepost.verdict import Verdict  # noqa: TC001 - typer reads it at run time

if TYPE_CHECKING:
    from rich.console import Console

_BATCH = 200
_REMEMBERED = 50_000

OPEN_FIRST = tuple(sorted(JobState, key=lambda state: state in ENDED))
"""All states, those in which a job still waits for something first."""

Fits = Callable[[JobView], bool]


def jobs(
    state: Annotated[JobState | None, typer.Option(help="Only jobs in this state.")] = None,
    region: Annotated[Region | None, typer.Option(help="Only this region's.")] = None,
    kind: Annotated[Kind | None, typer.Option(help="Only this kind.")] = None,
    verdict: Annotated[
        Verdict | None, typer.Option(help="Only those that ended, or whose last attempt ended, with it.", metavar="V")
    ] = None,
    configuration: Annotated[str | None, typer.Option(help="Only those of this inbound mapping.", metavar="C")] = None,
    source: Annotated[str | None, typer.Option(help="Only those that this service enqueued.", metavar="X")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.", metavar="N")] = 50,
    *,
    as_json: AsJson = False,
) -> None:
    """List jobs: open ones first, in the order in which they go; ended ones newest first.

    What moves while the list is read may be missing. Rows of --json have the same keys as those of job --json.

    Example: `gaugepost jobs --state dead --region eu --verdict missing_field --limit 1000 --json`
    """
    wanted = _filter(kind, verdict, configuration, source)
    states = (state,) if state else OPEN_FIRST
    with open_producer() as producer:
        cells = Cells(producer, region)
        found = (view for view in unseen(walk(cells, states)) if wanted(view))
        number = _show(found, limit, _json_writer(Dues(producer)) if as_json else _line_writer())
        cells.check()
    if not number and not as_json:
        note("no jobs")


def _filter(kind: Kind | None, verdict: Verdict | None, configuration: str | None, source: str | None) -> Fits:
    def fits(view: JobView) -> bool:
        return (
            (kind is None or view.kind == kind)
            and (configuration is None or view.job.get("configuration") == configuration)
            and (source is None or view.job.get("source") == source)
            and (verdict is None or view.last_verdict == verdict)
        )

    return fits


def walk(cells: Cells, states: tuple[JobState, ...]) -> Iterator[JobView]:
    """Walk the jobs in these states, read in batches; one that moved on meanwhile is left out."""
    for state in states:
        for ledger in cells.ledgers():
            with cells.asking(ledger.region):
                ids = ledger.ids(state)
                while batch := list(islice(ids, _BATCH)):
                    yield from (view for view in ledger.read(batch) if view is not None and view.state is state)


def unseen(views: Iterator[JobView]) -> Iterator[JobView]:
    """Leave out what was given before: jobs move while they are listed. Remembers a bounded number."""
    seen: dict[str, None] = {}
    for view in views:
        if view.id not in seen:
            seen[view.id] = None
            yield view
        if len(seen) > _REMEMBERED:
            del seen[next(iter(seen))]


def _show(found: Iterator[JobView], limit: int, write: Callable[[JobView], None]) -> int:
    """Print them up to the limit; return how many that were."""
    number = 0
    for view in islice(found, limit):
        write(view)
        number += 1
    sys.stdout.flush()
    if number == limit and next(found, None) is not None:
        note(f"the first {limit:,}; there are more (--limit)")
    return number


def _json_writer(dues: Dues) -> Callable[[JobView], None]:
    return lambda view: write_row(shown(view, dues))


_WIDTHS = (32, 2, 13)
_HEADING = ("ID", "IN", "KIND", "STATE")


def _line_writer() -> Callable[[JobView], None]:
    """Make a writer of lines of fixed widths, so that no row has to wait for the last one."""
    out = console() if sys.stdout.isatty() else None
    headed = False

    def write(view: JobView) -> None:
        nonlocal headed
        if not headed:
            _write_line(out, _HEADING, "dim")
            headed = True
        told = printable(why(view.state, view.reason, view.verdict, clock(view.until)))
        _write_line(out, (view.id, view.region, view.kind, told), STYLES.get(view.state, ""))

    return write


def _write_line(out: Console | None, cells: tuple[str, str, str, str], style: str) -> None:
    """Write a line; on a terminal the last cell has a colour and is folded, in a pipe it is as long as it is."""
    if out is None:
        fixed = "  ".join(f"{cell:{width}}" for cell, width in zip(cells, _WIDTHS, strict=False))
        sys.stdout.write(f"{fixed}  {cells[-1]}\n")
        return
    from rich.table import Table  # noqa: PLC0415 - --json does without rich
    from rich.text import Text  # noqa: PLC0415

    line = Table.grid(padding=(0, 2, 0, 0))
    for width in _WIDTHS:
        line.add_column(width=width, no_wrap=True)
    line.add_column(overflow="fold")
    line.add_row(*cells[:-1], Text(cells[-1], style))
    out.print(line)
