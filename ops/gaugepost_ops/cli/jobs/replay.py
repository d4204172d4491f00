"""`gaugepost replay`: queue dead or parked jobs again, in the order in which they were enqueued.

By filter it starts an operation, which workers carry out. With edits it first finds the jobs (it keeps only time and id
of each, about 90 bytes) and checks the edits on all of them, so that nothing is replayed if one would be invalid.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from gaugepost.ledger.operations import STATES, Action
from gaugepost.states import JobState
from gaugepost_ops.cli.audited import audited_producer, name_conditions
from gaugepost_ops.cli.common import NO_SUCH_JOB, WHERE_JOBS, Exit, RegionLedgers, note
from gaugepost_ops.cli.jobs.bulk_operation import Order
from gaugepost_ops.cli.jobs.edits import read_edits
from gaugepost_ops.cli.jobs.filters import FilterOptions, filtered
from gaugepost_ops.cli.jobs.groups import show_dry_run
from gaugepost_ops.cli.jobs.replay_runner import Report, check_edits, run
from gaugepost_ops.cli.jobs.selection import BulkOptions, Plan, RegionOfState, Selection, bulk_options, name_selection

if TYPE_CHECKING:
    from gaugepost.client import Producer
    from gaugepost_ops.cli.audited import Recording

_REPLAYABLE = STATES[Action.REPLAY]

Ids = Annotated[list[str] | None, typer.Argument(metavar="ID...", help="Jobs to replay.")]
State = Annotated[
    JobState | None, typer.Option(help="All dead jobs, or all parked ones.", metavar="|".join(_REPLAYABLE))
]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change a field first: FIELD=VALUE, FIELD=@FILE or FIELD=- (stdin).", metavar="F=V"),
]
Unsets = Annotated[list[str] | None, typer.Option("--unset", help="Remove a field first.", metavar="F")]


@filtered
@bulk_options
def replay(
    ids: Ids = None,
    state: State = None,
    region: RegionOfState = None,
    *,
    job_filter: FilterOptions,
    sets: Sets = None,
    unsets: Unsets = None,
    bulk: BulkOptions,
) -> int:
    """Queue dead or parked jobs again: by id, or all of a region that match.

    They are sent in the order in which they were enqueued, before jobs that were enqueued later. A status change waits
    for its turn in its case lane. The count of attempts starts again, idempotency keys are not checked, and the job's
    history gets who replayed it, when, why, and which fields were changed.

    By filter, this command starts an operation, which workers carry out. The command shows its progress and waits for
    its end. Ctrl-C ends only the command; the operation continues (`gaugepost operations`). By ids, this command
    replays the jobs itself. Ctrl-C then stops it between two batches; call it again to replay the rest.

    Changes (--set record.Email=…, --set configuration=…, --set net_promoter_score=9, --unset expires_at) are checked on
    all jobs first. If one job would be invalid, none is replayed (exit code 2). Give personal data as --set FIELD=@FILE
    or FIELD=-, so that it is not in the list of processes. Values in record and fields are set as text.

    A job is not replayed, and is named, if a hold stops it (`gaugepost resume`) or its expires_at is over (change it).

    Example: `gaugepost replay --state dead --region eu --verdict missing_field --dry-run`
    """
    target = name_selection(ids or (), state, job_filter, bulk.limit)
    with audited_producer("replay", region, target, bulk.reason, unless=bulk.dry_run) as (producer, audit):
        selection = Selection(ids or (), state, region, job_filter, bulk, allowed=_REPLAYABLE)
        edits = read_edits(sets or (), unsets or (), producer.mappings)
        audit.name(name_conditions(edited=",".join(edits.names)))
        order = Order(Action.REPLAY, bulk.by or audit.actor, bulk.reason, bulk.rate, bulk.limit, edits=edits)
        return audit.ended(_replay(producer, selection, order, audit))


def _replay(producer: Producer, selection: Selection, order: Order, audit: Recording) -> Exit:
    bulk, edits = selection.bulk, order.edits
    if not (selection.ids or edits or bulk.dry_run):
        return selection.carry_out(producer, order, audit)
    regions = RegionLedgers(producer, selection.region)
    report = Report(as_json=bulk.as_json)
    plan = _plan(producer, selection, regions, report, audit)
    if edits:
        check_edits(regions, plan, edits)
    if bulk.dry_run:
        show_dry_run(plan.views(regions), producer, "replayed", as_json=bulk.as_json)
    elif selection.region is not None and edits:
        return selection.carry_out(producer, replace(order, edits=edits.resolved(selection.region)), audit)
    elif run(regions, plan, order, report, audit):
        return Exit.INTERRUPTED
    regions.require_all_reached()
    if report.skipped[NO_SUCH_JOB]:
        note(WHERE_JOBS)
    return Exit.FAILED if report.skipped else Exit.DONE


def _plan(producer: Producer, selection: Selection, regions: RegionLedgers, report: Report, audit: Recording) -> Plan:
    """Return the jobs to replay, in order. Report those that are given by id and cannot be replayed."""
    plan = Plan()
    plan.add_all(selection.matching(producer, regions))
    for job_id, view in selection.named(regions).items():
        if view is not None:
            audit.count(view.region, 0)
        if view is not None and view.state in _REPLAYABLE:
            plan.add(view)
        else:
            report.add_skipped(job_id, view)
    plan.order(selection.bulk.limit)
    return plan
