"""`gaugepost settle`: record what a person found out about unknown jobs: by id at once, by filter as an operation."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from gaugepost.ledger.operations import STATES, Action
from gaugepost.states import JobState
from gaugepost_ops.cli.audited import audited_producer
from gaugepost_ops.cli.common import (
    NO_SUCH_JOB,
    WHERE_JOBS,
    AsJson,
    Exit,
    RegionLedgers,
    given_time,
    note,
    write_row,
)
from gaugepost_ops.cli.jobs.bulk_operation import Order
from gaugepost_ops.cli.jobs.cancel import apply_in_batches
from gaugepost_ops.cli.jobs.filters import (
    ConfigurationOption,
    FieldsOption,
    FilterOptions,
    KindOption,
    SinceOption,
    SourceOption,
    UntilOption,
    VerdictOption,
)
from gaugepost_ops.cli.jobs.groups import show_dry_run
from gaugepost_ops.cli.jobs.selection import (
    By,
    Detach,
    DryRun,
    Limit,
    Rate,
    Reason,
    RegionOfState,
    Selection,
    name_selection,
)
from gaugepost_ops.cli.output.formatting import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gaugepost_ops.cli.audited import Recording

Ids = Annotated[list[str] | None, typer.Argument(metavar="ID...", help="Unknown jobs.")]
State = Annotated[JobState | None, typer.Option(help="All unknown jobs.", metavar="unknown")]


class Resolution(StrEnum):
    """What an unknown job can become."""

    DELIVERED = "delivered"
    DEAD = "dead"


def settle(  # noqa: PLR0913 - an option each
    ids: Ids = None,
    *,
    resolution: Annotated[Resolution, typer.Option("--as", help="What you found at CustomerGauge.")],
    state: State = None,
    region: RegionOfState = None,
    kind: KindOption = None,
    verdict: VerdictOption = None,
    configuration: ConfigurationOption = None,
    source: SourceOption = None,
    field: FieldsOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: Limit = None,
    rate: Rate = None,
    reason: Reason = "",
    by: By = None,
    dry_run: DryRun = False,
    detach: Detach = False,
    as_json: AsJson = False,
) -> int:
    """Record what became of jobs whose answer was lost: by id, or all of a region that match.

    First look whether CustomerGauge has them. As delivered: they arrived, and nothing more is sent. A result that only
    the lost answer had (a survey link) stays lost: a service that waits for it gets ResultLost. As dead: they did not
    arrive; `replay` sends them again. In both cases the jobs behind them in their lane go on. Exit code 1: a job was
    not unknown. A job that has this state already is no failure.

    Example: `gaugepost settle --state unknown --region eu --kind response --as delivered --reason "seen in the portal"`
    """
    times = given_time("--since", since), given_time("--until", until)
    job_filter = FilterOptions(kind, verdict, configuration, source, field, *times)
    wanted = JobState(resolution)
    target = f"{name_selection(ids or (), state, job_filter, limit)} as={wanted}"
    with audited_producer("settle", region, target, reason, unless=dry_run) as (producer, audit):
        bulk = detach or rate is not None
        selection = Selection(ids or (), state, region, job_filter, limit, allowed=STATES[Action.SETTLE], bulk=bulk)
        if dry_run:
            regions = RegionLedgers(producer, region)
            plan = selection.plan(producer, regions)
            show_dry_run(plan.views(regions), producer, "settled", as_json=as_json)
            return Exit.DONE
        order = Order(Action.SETTLE, by or audit.actor, reason, rate, limit, wanted)
        if selection.ids:
            return audit.ended(_settle(RegionLedgers(producer), selection.ids, wanted, order, audit, as_json=as_json))
        return selection.carry_out(producer, order, audit, detach=detach, as_json=as_json)


def _settle(
    regions: RegionLedgers, ids: Sequence[str], wanted: JobState, order: Order, audit: Recording, *, as_json: bool
) -> Exit:
    """Settle jobs that are given by id."""
    done, unknown = True, False
    settled = apply_in_batches(
        regions,
        list(dict.fromkeys(ids)),
        "settling",
        audit,
        lambda ledger, part: ledger.resolve(part, wanted, order.by, order.reason),
    )
    for job_id, (now, by_this_call) in settled:
        _print_outcome(job_id, now, by_this_call=by_this_call, wanted=wanted, as_json=as_json)
        done &= now is wanted
        unknown |= now is None
    regions.require_all_reached()
    if unknown:
        note(WHERE_JOBS)
    return Exit.DONE if done else Exit.FAILED


def _print_outcome(job_id: str, state: JobState | None, *, by_this_call: bool, wanted: JobState, as_json: bool) -> None:
    if as_json:
        write_row({"id": job_id, "state": state and str(state), "settled": by_this_call})
    else:
        sys.stdout.write(f"{printable(job_id)}  {_outcome_text(state, by_this_call=by_this_call, wanted=wanted)}\n")


def _outcome_text(state: JobState | None, *, by_this_call: bool, wanted: JobState) -> str:
    if state is None:
        return NO_SUCH_JOB
    if by_this_call:
        return f"settled as {wanted}"
    return f"was {state} before" if state is wanted else f"not settled: it is {state}, not unknown"
