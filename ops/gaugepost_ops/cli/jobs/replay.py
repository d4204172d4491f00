"""`gaugepost replay`: queue dead or parked jobs again, in the order in which they were enqueued.

It makes three passes, so that nothing is replayed before all jobs are checked: find the jobs (it keeps only time and id
of each, about 90 bytes), check the edits on all of them, replay them in batches.
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
    state: Annotated[
        JobState | None, typer.Option(help="All dead jobs, or all parked ones.", metavar="dead|parked")
    ] = None,
    region: Annotated[Region | None, typer.Option(help="The region of the jobs, with --state.")] = None,
    kind: KindOption = None,
    verdict: VerdictOption = None,
    configuration: ConfigurationOption = None,
    source: SourceOption = None,
    field: FieldsOption = None,
    *,
    limit: Annotated[int | None, typer.Option(min=1, help="At most this many: the oldest.", metavar="N")] = None,
    rate: Annotated[int | None, typer.Option(min=1, help="At most this many jobs per second.", metavar="N")] = None,
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a field first: FIELD=VALUE, FIELD=@FILE or FIELD=- (stdin).", metavar="F=V"),
    ] = None,
    unsets: Annotated[list[str] | None, typer.Option("--unset", help="Remove a field first.", metavar="F")] = None,
    reason: Annotated[str, typer.Option(help="Why, for the jobs' history.", metavar="WHY")] = "",
    by: Annotated[str | None, typer.Option(help="Who, for the history; default: user@host.", metavar="WHO")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing; count the jobs by groups.")] = False,
    as_json: AsJson = False,
) -> int:
    """Queue dead or parked jobs again: by id, or all of a region that match.

    They are sent in the order in which they were enqueued, before jobs that were enqueued later. A status change waits
    for its turn in its case lane. The count of attempts starts again, idempotency keys are not checked, and the job's
    history gets who replayed it, when, why, and which fields were changed. Ctrl-C stops between two batches and prints
    how many were replayed. The others stay as they are; call the same command again to go on.

    Changes (--set record.Email=…, --set configuration=…, --set net_promoter_score=9, --unset expires_at) are checked on
    all jobs first. If one job would be invalid, none is replayed (exit code 2). Give personal data as --set FIELD=@FILE
    or FIELD=-, so that it is not in the list of processes. Values in record and fields are set as text.

    A job is not replayed, and is named, if a hold stops it (`gaugepost resume`), or if its expires_at has passed
    (change that too).

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
        raise Failure(Exit.USAGE, "expected either ids, or --state and --region with filters, not both")
    if ids:
        return
    if state not in _REPLAYABLE or region is None:
        problem = "expected ids, or --state dead|parked and --region"
        raise Failure(Exit.USAGE, problem, "`gaugepost jobs --group` prints the command for each group")


def _find_named(regions: RegionLedgers, ids: Sequence[str], plan: Plan, report: Report) -> None:
    """Add the jobs with these ids to the plan. Report those that cannot be replayed."""
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
