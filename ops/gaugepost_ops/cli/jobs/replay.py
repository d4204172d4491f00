"""`gaugepost replay`: dead or parked jobs back to work, in the order they were enqueued.

Three passes, so that nothing is replayed before all is known to be fit: find the jobs (of each only stamp and id are
kept, about 90 bytes), check the edits on all of them, replay them in batches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from gaugepost.regions import Region  # noqa: TC001 - typer reads it at run time
from gaugepost.states import JobState
from gaugepost_ops.cli.aliases import of_configuration
from gaugepost_ops.cli.common import (
    NO_SUCH_JOB,
    WHERE_JOBS,
    AsJson,
    Exit,
    Failure,
    RegionLedgers,
    note,
    open_producer,
    who,
)
from gaugepost_ops.cli.jobs.edits import read_edits
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
from gaugepost_ops.cli.jobs.groups import show_dry_run
from gaugepost_ops.cli.jobs.replay_runner import Plan, Report, check_edits, run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gaugepost.ledger import JobView

_REPLAYABLE = (JobState.DEAD, JobState.PARKED)


def replay(  # noqa: PLR0913 - an option each
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID...", help="Jobs to replay.")] = None,
    state: Annotated[JobState | None, typer.Option(help="All that are dead, or parked.", metavar="dead|parked")] = None,
    region: Annotated[Region | None, typer.Option(help="The region they are in; goes with --state.")] = None,
    kind: KindOption = None,
    verdict: VerdictOption = None,
    configuration: ConfigurationOption = None,
    source: SourceOption = None,
    field: FieldsOption = None,
    *,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many: the oldest.", metavar="N")] = None,
    rate: Annotated[int | None, typer.Option(min=1, help="At most so many a second.", metavar="N")] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a field first: FIELD=VALUE, FIELD=@FILE or FIELD=- (stdin).", metavar="F=V"),
    ] = None,
    unsets: Annotated[list[str] | None, typer.Option("--unset", help="Take a field away first.", metavar="F")] = None,
    reason: Annotated[str, typer.Option(help="Why, for the record.", metavar="WHY")] = "",
    by: Annotated[str | None, typer.Option(help="Who, for the record; else user@host.", metavar="WHO")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count them, by what they have in common.")] = False,
    as_json: AsJson = False,
) -> int:
    """Send dead or parked jobs back to work, by id, or all of a region that fit.

    They go in the order they were enqueued, before what was enqueued later; a status change waits for its turn in its
    case's lane. Their tries start anew, their idempotency keys play no part, and the record tells who, when, why and
    which fields were changed. Ctrl-C stops between two batches and tells how many went; the others stay as they are,
    and the same call goes on with them.

    A change (--set record.Email=…, --set configuration=…, --set net_promoter_score=9, --unset expires_at) is checked
    on all jobs before the first one goes: if it makes one invalid, none goes (exit code 2). Give what is somebody's
    data as --set FIELD=@FILE or FIELD=-, so that it is not seen in the list of processes. RegionLedgers are set as text.

    A job stays, and is named, if a hold keeps it (`gaugepost resume`), or if its expires_at is over: change that too.

    Example: `gaugepost replay --state dead --region eu --verdict missing_field --dry-run`
    """
    _check_call(ids or (), state, region, narrowed=any((kind, verdict, configuration, source, field, limit)))
    with open_producer() as producer:
        edits = read_edits(sets or (), unsets or (), producer.mappings)
        regions, report = RegionLedgers(producer, region), Report(named=bool(ids), as_json=as_json)
        plan = Plan()
        if ids:
            _find_named(regions, ids, plan, report)
        elif state:
            job_filter = JobFilter(
                of_configuration(producer, configuration, region), kind, verdict, source, tuple(field or ())
            )
            plan.add_all(view for view in without_repeats(walk(regions, (state,))) if job_filter.matches(view))
        plan.order(limit)
        if edits:
            check_edits(regions, plan, edits)
        if dry_run:
            show_dry_run(plan.views(regions), producer, "replayed", as_json=as_json)
        else:
            stopped = run(regions, plan, edits, rate, report, by=by or who(), why=reason)
            report.print_summary()
            if stopped:
                return Exit.INTERRUPTED
        regions.require_all_reached()
    if report.skipped[NO_SUCH_JOB]:
        note(WHERE_JOBS)
    return Exit.FAILED if report.skipped else Exit.DONE


def _check_call(ids: Sequence[str], state: JobState | None, region: Region | None, *, narrowed: bool) -> None:
    if ids and (state or region or narrowed):
        raise Failure(Exit.USAGE, "expected ids, or --state and --region with what narrows them, not both")
    if ids:
        return
    if state not in _REPLAYABLE or region is None:
        problem = "expected ids, or --state dead|parked and --region"
        raise Failure(Exit.USAGE, problem, "`gaugepost jobs --group` writes the command for each fault")


def _find_named(regions: RegionLedgers, ids: Sequence[str], plan: Plan, report: Report) -> None:
    """Find each id's region; tell at once of those that cannot be replayed."""
    found: dict[str, JobView | None] = dict.fromkeys(ids)
    for ledger in regions.ledgers():
        missing = [job_id for job_id, view in found.items() if view is None]
        if not missing:
            break
        with regions.skip_unreachable(ledger.region):
            found |= zip(missing, ledger.read(missing), strict=True)
    for job_id, view in found.items():
        if view is not None and view.state in _REPLAYABLE:
            plan.add(view)
        else:
            report.add_skipped(job_id, view)
