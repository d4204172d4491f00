"""`gaugepost jobs`: list jobs. It prints each row as soon as it is read, however long the list is."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from gaugepost.ledger.finding import LOOKED_AT
from gaugepost.regions import Region
from gaugepost.states import ENDED, JobState
from gaugepost_ops.cli.aliases import alias, aliased
from gaugepost_ops.cli.audited import audited_producer
from gaugepost_ops.cli.common import (
    AsJson,
    Exit,
    Failure,
    RegionLedgers,
    ShowData,
    console,
    note,
    write_row,
)
from gaugepost_ops.cli.jobs.filters import (
    ConfigurationOption,
    FieldsOption,
    FilterOptions,
    KindOption,
    SinceOption,
    SourceOption,
    UntilOption,
    VerdictOption,
    without_repeats,
)
from gaugepost_ops.cli.jobs.groups import STUCK, is_stuck, show_groups
from gaugepost_ops.cli.jobs.reference_options import (  # noqa: TC001 - typer reads them at run time
    BatchOption,
    CaseOption,
    EmailOption,
    KeyOption,
    LabelOption,
    PhoneOption,
)
from gaugepost_ops.cli.jobs.references import AllOption, Walk, Wanted
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
    from gaugepost_ops.cli.audited import Recording

OPEN_FIRST = tuple(sorted(JobState, key=lambda state: state in ENDED))
"""All states; the states of jobs that have not ended come first."""


State = Annotated[JobState | None, typer.Option(help="Only jobs in this state.")]
OfRegion = Annotated[Region | None, typer.Option(help="Only this region's.")]
Limit = Annotated[int, typer.Option(min=1, help="At most this many jobs, or groups.", metavar="N")]
ByCause = Annotated[
    bool, typer.Option("--group", help="Group the stuck jobs by their cause, each with the command that helps.")
]


def jobs(  # noqa: PLR0913 - an option each
    state: State = None,
    region: OfRegion = None,
    kind: KindOption = None,
    verdict: VerdictOption = None,
    configuration: ConfigurationOption = None,
    source: SourceOption = None,
    field: FieldsOption = None,
    limit: Limit = 50,
    *,
    key: KeyOption = None,
    label: LabelOption = None,
    batch: BatchOption = None,
    case: CaseOption = None,
    email: EmailOption = None,
    phone: PhoneOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    all_: AllOption = False,
    group: ByCause = False,
    show_data: ShowData = False,
    as_json: AsJson = False,
) -> None:
    """List jobs: open ones first, in the order in which they are sent; then ended ones, newest first.

    A job that changes its state while the list is read may be missing. Rows of --json have the keys of job --json.
    With --key, --label, --batch, --case, --email or --phone, jobs come newest first, whatever their state.

    With --group, counts dead, unknown and parked jobs (or those of --state) by region, kind, verdict or reason,
    configuration, and the fields with errors. Each group has the command that helps. Queued and waiting jobs are
    included if their region is held or has no worker.

    Example: `gaugepost jobs --state dead --group`
    """
    job_filter = FilterOptions(kind, verdict, configuration, source, field)
    wanted = Wanted.of(since, until, key=key, label=label, batch=batch, case=case, email=email, phone=phone)
    options = _Options(limit, look_at_all=all_, group=group, show_data=show_data, as_json=as_json)
    _list_jobs(state, region, job_filter, wanted, options)


@dataclass(frozen=True)
class _Options:
    """How many jobs to list, and in which form."""

    limit: int
    look_at_all: bool
    group: bool
    show_data: bool
    as_json: bool

    def print(self, views: Iterator[JobView], producer: Producer, audit: Recording) -> int:
        """Print jobs or groups, and record the jobs whose data is shown. Return the number of jobs."""
        if self.group:
            return show_groups(views, self.limit, producer, as_json=self.as_json)
        write = (json_writer if self.as_json else line_writer)(producer, show_data=self.show_data)
        return print_rows(views, self.limit, _recorded(write, audit))


def _list_jobs(
    state: JobState | None, region: Region | None, job_filter: FilterOptions, wanted: Wanted, options: _Options
) -> None:
    encrypted, missing_workers, group = _EncryptedJobs(), MissingWorkers(), options.group
    target = f"{job_filter.name(state)} {wanted.name()}".strip()
    with audited_producer("jobs", region, target, unless=group or not options.show_data) as (producer, audit):
        regions = RegionLedgers(producer, region)
        states = (state,) if state else _stuck_states(regions) if group else OPEN_FIRST
        narrows = job_filter.narrows or wanted.narrows
        search = Walk(regions, states, wanted, LOOKED_AT if narrows and not group and not options.look_at_all else None)
        views = job_filter.select(encrypted.collect(without_repeats(iter(search))), producer, region)
        views = missing_workers.collect(filter(is_stuck, views) if group and not state else views)
        number = options.print(views, producer, audit)
        search.note()
        regions.require_all_reached()
    if not options.as_json:
        _note_absence(number, None if group else missing_workers)
    encrypted.require_none()


def _note_absence(number: int, missing_workers: MissingWorkers | None) -> None:
    """Note that no job was found, and the regions without a worker. None: groups show the command themselves."""
    if not number:
        note("no jobs")
    if missing_workers:
        missing_workers.note()


def _stuck_states(regions: RegionLedgers) -> tuple[JobState, ...]:
    """Return the states of jobs that may need a person; if a region is held or has no worker, the ready states too."""
    for ledger in regions.ledgers():
        with regions.skip_unreachable(ledger.region):
            if "" in ledger.holds() or not ledger.presence().has_worker:
                return (*STUCK, JobState.QUEUED, JobState.WAITING)
    return STUCK


class _EncryptedJobs:
    """The number of jobs that could not be decrypted, as far as the command has seen them."""

    def __init__(self) -> None:
        self._number = 0

    def collect(self, views: Iterator[JobView]) -> Iterator[JobView]:
        """Yield the same jobs, and count those that could not be decrypted."""
        for view in views:
            self._number += view.sealed is not None
            yield view

    def require_none(self) -> None:
        """Raise Failure if there were any."""
        if self._number:
            problem = f"{self._number:,} jobs are shown without their data, which GAUGEPOST_DATA_KEY cannot decrypt"
            raise Failure(Exit.FAILED, problem, "add the key that encrypted them, and list them again")


def print_rows(found: Iterator[JobView], limit: int, write: Callable[[JobView], None]) -> int:
    """Print at most `limit` jobs. Return the number of printed jobs."""
    number = 0
    for view in islice(found, limit):
        write(view)
        number += 1
    sys.stdout.flush()
    if number == limit and next(found, None) is not None:
        note(f"these are the first {limit:,} jobs; for more use --limit")
    return number


def _recorded(write: Callable[[JobView], None], audit: Recording) -> Callable[[JobView], None]:
    """Return a function that records that a job is shown, and shows it."""

    def record_and_write(view: JobView) -> None:
        audit.begin(view.region)
        write(view)
        audit.count(view.region)

    return record_and_write


def json_writer(producer: Producer, *, show_data: bool) -> Callable[[JobView], None]:
    dues = DueTimes(producer)
    return lambda view: write_row(aliased(job_row(view, dues, show_data=show_data), producer))


_WIDTHS = (32, 2, 13)
_HEADING = ("ID", "IN", "KIND")
_STATE_COLUMN = sum(_WIDTHS) + 2 * len(_WIDTHS)
"""The column at which the state begins."""
_LONGEST_STATE = max(map(len, JobState))
_WIDE = 90
_INDENT_BELOW = 4


def line_writer(producer: Producer, *, show_data: bool) -> Callable[[JobView], None]:
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
        cause = text.removeprefix(view.state) + (f"  ({view.matched})" if view.matched else "")
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
