"""`gaugepost jobs`: list jobs. It prints each row as soon as it is read, however long the list is."""

from __future__ import annotations

import json
import sys
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from gaugepost.regions import Region  # noqa: TC001 - typer reads it at run time
from gaugepost.states import ENDED, JobState
from gaugepost_ops.cli.aliases import alias, aliased, of_configuration
from gaugepost_ops.cli.common import (
    AsJson,
    Exit,
    Failure,
    RegionLedgers,
    ShowData,
    console,
    note,
    open_producer,
    write_row,
)
from gaugepost_ops.cli.jobs.filters import (
    ConfigurationOption,
    FieldsOption,
    JobFilter,
    KindOption,
    SourceOption,
    VerdictOption,
    walk,
    without_repeats,
)
from gaugepost_ops.cli.jobs.groups import STUCK, is_stuck, show_groups
from gaugepost_ops.cli.missing_workers import MissingWorkers
from gaugepost_ops.cli.output.formatting import clock, printable
from gaugepost_ops.cli.output.state_text import STYLES, describe_state
from gaugepost_ops.cli.output.text_layout import print_hanging
from gaugepost_ops.cli.uploads.lanes import DueTimes, job_row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

    from gaugepost.client import Producer
    from gaugepost.ledger import JobView

_WHY_SEALED = "is encrypted with a key that GAUGEPOST_DATA_KEY does not have. Add that key, and list them again"

OPEN_FIRST = tuple(sorted(JobState, key=lambda state: state in ENDED))
"""All states; the states of jobs that have not ended come first."""


def jobs(  # noqa: PLR0913 - an option each
    state: Annotated[JobState | None, typer.Option(help="Only jobs in this state.")] = None,
    region: Annotated[Region | None, typer.Option(help="Only this region's.")] = None,
    kind: KindOption = None,
    verdict: VerdictOption = None,
    configuration: ConfigurationOption = None,
    source: SourceOption = None,
    field: FieldsOption = None,
    limit: Annotated[int, typer.Option(min=1, help="At most this many jobs, or groups.", metavar="N")] = 50,
    *,
    group: Annotated[
        bool, typer.Option("--group", help="Group the stuck jobs by their cause, each with the command that helps.")
    ] = False,
    show_data: ShowData = False,
    as_json: AsJson = False,
) -> None:
    """List jobs: open ones first, in the order in which they are sent; then ended ones, newest first.

    A job that changes its state while the list is read may be missing. Rows of --json have the keys of job --json.

    With --group, counts dead, unknown and parked jobs (or those of --state) by region, kind, verdict or reason,
    configuration, and the fields with errors. Each group has the command that helps. Queued and waiting jobs are
    included if their region is held or has no worker.

    Example: `gaugepost jobs --state dead --group`
    """
    with open_producer() as producer:
        regions = RegionLedgers(producer, region)
        stuck = group and state is None
        states = (state,) if state else _stuck_states(regions) if group else OPEN_FIRST
        job_filter = JobFilter(
            of_configuration(producer, configuration, region), kind, verdict, source, tuple(field or ())
        )
        sealed: Counter[str] = Counter()
        missing_workers = MissingWorkers()
        views = (
            view for view in _count_sealed(without_repeats(walk(regions, states)), sealed) if job_filter.matches(view)
        )
        found = missing_workers.collect(view for view in views if not stuck or is_stuck(view))
        writer = _json_writer if as_json else _line_writer
        if group:
            number = show_groups(found, limit, producer, as_json=as_json)
        else:
            number = _print_rows(found, limit, writer(producer, show_data=show_data))
        regions.require_all_reached()
    if not as_json:
        if not number:
            note("no jobs")
        if not group:  # a group shows the command itself
            missing_workers.note()
    if sealed:
        raise Failure(Exit.FAILED, f"{sealed['jobs']:,} jobs are shown without their data: it {_WHY_SEALED}")


def _stuck_states(regions: RegionLedgers) -> tuple[JobState, ...]:
    """Return the states of jobs that may need a person; if a region is held or has no worker, the ready states too."""
    for ledger in regions.ledgers():
        with regions.skip_unreachable(ledger.region):
            if "" in ledger.holds() or not ledger.presence().has_worker:
                return (*STUCK, JobState.QUEUED, JobState.WAITING)
    return STUCK


def _count_sealed(views: Iterator[JobView], sealed: Counter[str]) -> Iterator[JobView]:
    """Yield the same jobs, and count in `sealed["jobs"]` those that could not be decrypted."""
    for view in views:
        if view.sealed:
            sealed["jobs"] += 1
        yield view


def _print_rows(found: Iterator[JobView], limit: int, write: Callable[[JobView], None]) -> int:
    """Print at most `limit` jobs. Return the number of printed jobs."""
    number = 0
    for view in islice(found, limit):
        write(view)
        number += 1
    sys.stdout.flush()
    if number == limit and next(found, None) is not None:
        note(f"these are the first {limit:,} jobs; for more use --limit")
    return number


def _json_writer(producer: Producer, *, show_data: bool) -> Callable[[JobView], None]:
    dues = DueTimes(producer)
    return lambda view: write_row(aliased(job_row(view, dues, show_data=show_data), producer))


_WIDTHS = (32, 2, 13)
_HEADING = ("ID", "IN", "KIND")
_STATE_COLUMN = sum(_WIDTHS) + 2 * len(_WIDTHS)
"""The column at which the state begins."""
_LONGEST_STATE = max(map(len, JobState))
_WIDE = 90
_INDENT_BELOW = 4


def _line_writer(producer: Producer, *, show_data: bool) -> Callable[[JobView], None]:
    """Return a function that prints a job as a line. Column widths are fixed, so each row can be printed at once."""
    out = console() if sys.stdout.isatty() else None
    headed = False

    def write(view: JobView) -> None:
        nonlocal headed
        if not headed:
            _write_line(out, _HEADING, "STATE", "", "dim")
            headed = True
        text = printable(describe_state(view.state, view.why_waits, view.verdict, clock(view.until), view.meaning))
        if name := alias(producer, view.job.get("configuration"), view.region):
            text += f" ({printable(name)})"
        if show_data and not view.sealed:
            text += printable(f"  {json.dumps(view.data(), ensure_ascii=False)}")
        cause = text.removeprefix(view.state)
        _write_line(out, (view.id, view.region, view.kind), view.state, cause, STYLES.get(view.state, ""))

    return write


def _write_line(out: Console | None, columns: tuple[str, str, str], state: str, cause: str, style: str) -> None:
    """Write one line. In a pipe its length is not limited; on a narrow terminal the rest goes to the lines below."""
    gap = "  " if out is None or out.width >= _STATE_COLUMN + _LONGEST_STATE else " "
    id_and_region, kind = f"{columns[0]:{_WIDTHS[0]}}{gap}{columns[1]:{_WIDTHS[1]}}", columns[2]
    head = f"{id_and_region}{gap}{kind:{_WIDTHS[2]}}{gap}"
    if out is None:
        sys.stdout.write(f"{head}{state}{cause}\n")
        return
    from rich.text import Text  # noqa: PLC0415 - --json does without rich

    if out.width < len(head) + _LONGEST_STATE:
        out.print(id_and_region, soft_wrap=True)
        print_hanging(out, Text(" " * _INDENT_BELOW), f"{state}  {kind}{cause}", at=_INDENT_BELOW, style=style)
    elif out.width >= _WIDE or len(head) + len(state) + len(cause) <= out.width:
        print_hanging(out, Text(head), state + cause, at=len(head), style=style)
    else:
        out.print(Text.assemble(head, (state, style)), soft_wrap=True)
        print_hanging(out, Text(), cause.lstrip(": "), at=_INDENT_BELOW, style=style)
