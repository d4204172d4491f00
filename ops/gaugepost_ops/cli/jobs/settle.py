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
    Exit,
    RegionLedgers,
    note,
    write_row,
)
from gaugepost_ops.cli.jobs.bulk_operation import Order
from gaugepost_ops.cli.jobs.cancel import apply_in_batches
from gaugepost_ops.cli.jobs.filters import FilterOptions, filtered
from gaugepost_ops.cli.jobs.selection import BulkOptions, RegionOfState, Selection, bulk_options, name_selection
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


@filtered
@bulk_options
def settle(
    ids: Ids = None,
    *,
    resolution: Annotated[Resolution, typer.Option("--as", help="What you found at CustomerGauge.")],
    state: State = None,
    region: RegionOfState = None,
    job_filter: FilterOptions,
    bulk: BulkOptions,
) -> int:
    """Record what became of jobs whose answer was lost: by id, or all of a region that match.

    First look whether CustomerGauge has them. As delivered: they arrived, and nothing more is sent. A result that only
    the lost answer had (a survey link) stays lost: a service that waits for it gets ResultLost. As dead: they did not
    arrive; `replay` sends them again. In both cases the jobs behind them in their lane go on. Exit code 1: a job was
    not unknown. A job that has this state already is no failure.

    Example: `gaugepost settle --state unknown --region eu --kind response --as delivered --reason "seen in the portal"`
    """
    wanted = JobState(resolution)
    target = f"{name_selection(ids or (), state, job_filter, bulk.limit)} as={wanted}"
    with audited_producer("settle", region, target, bulk.reason, unless=bulk.dry_run) as (producer, audit):
        selection = Selection(ids or (), state, region, job_filter, bulk, allowed=STATES[Action.SETTLE])
        if bulk.dry_run:
            return selection.show_dry_run(producer, "settled")
        order = Order(Action.SETTLE, bulk.by or audit.actor, bulk.reason, bulk.rate, bulk.limit, wanted)
        if selection.ids:
            return audit.ended(
                _settle(RegionLedgers(producer), selection.ids, wanted, order, audit, as_json=bulk.as_json)
            )
        return selection.carry_out(producer, order, audit)


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
