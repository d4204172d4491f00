"""`gaugepost settle`: record what a person found out about an unknown job."""

from __future__ import annotations

import sys
from enum import StrEnum
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
    write_row,
)
from gaugepost_ops.cli.jobs.cancel import apply_in_batches
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
from gaugepost_ops.cli.jobs.replay_runner import Plan
from gaugepost_ops.cli.output.formatting import printable

if TYPE_CHECKING:
    from collections.abc import Sequence


class Resolution(StrEnum):
    """What an unknown job can become."""

    DELIVERED = "delivered"
    DEAD = "dead"


def settle(  # noqa: PLR0913 - an option each
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID...", help="Unknown jobs.")] = None,
    *,
    resolution: Annotated[Resolution, typer.Option("--as", help="What you found at CustomerGauge.")],
    state: Annotated[JobState | None, typer.Option(help="All unknown jobs.", metavar="unknown")] = None,
    region: Annotated[Region | None, typer.Option(help="The region of the jobs, with --state.")] = None,
    kind: KindOption = None,
    verdict: VerdictOption = None,
    configuration: ConfigurationOption = None,
    source: SourceOption = None,
    field: FieldsOption = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most this many: the oldest.", metavar="N")] = None,
    reason: Annotated[str, typer.Option(help="Why, for the jobs' history.", metavar="WHY")] = "",
    by: Annotated[str | None, typer.Option(help="Who, for the history; default: user@host.", metavar="WHO")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing; count the jobs by groups.")] = False,
    as_json: AsJson = False,
) -> int:
    """Record what became of jobs whose answer was lost: by id, or all of a region that match.

    First look whether CustomerGauge has them. As delivered: they arrived, and nothing more is sent. A result that only
    the lost answer had (a survey link) stays lost: a service that waits for it gets ResultLost. As dead: they did not
    arrive; `replay` sends them again. In both cases the jobs behind them in their lane go on. Exit code 1: a job was
    not unknown. A job that has this state already is no failure.

    Example: `gaugepost settle --state unknown --region eu --kind response --as delivered --reason "seen in the portal"`
    """
    _check_call(ids or (), state, region, narrowed=any((kind, verdict, configuration, source, field, limit)))
    wanted, done, unknown = JobState(resolution), True, False
    with open_producer() as producer:
        regions = RegionLedgers(producer, region)
        plan = Plan()
        if state:
            of = of_configuration(producer, configuration, region)
            job_filter = JobFilter(of, kind, verdict, source, tuple(field or ()))
            plan.add_all(view for view in without_repeats(walk(regions, (state,))) if job_filter.matches(view))
            plan.order(limit)
        if dry_run:
            show_dry_run(plan.views(regions), producer, "settled", as_json=as_json)
            return Exit.DONE
        left = plan.ids() if state else list(dict.fromkeys(ids or ()))
        person = by or who()
        settled = apply_in_batches(
            regions, left, "settling", lambda ledger, batch: ledger.resolve(batch, wanted, person, reason)
        )
        for job_id, (now, by_this_call) in settled:
            _print_outcome(job_id, now, by_this_call=by_this_call, wanted=wanted, as_json=as_json)
            done &= now is wanted
            unknown |= now is None
        regions.require_all_reached()
    if unknown:
        note(WHERE_JOBS)
    return Exit.DONE if done else Exit.FAILED


def _check_call(ids: Sequence[str], state: JobState | None, region: Region | None, *, narrowed: bool) -> None:
    if ids and (state or region or narrowed):
        raise Failure(Exit.USAGE, "expected either ids, or --state unknown and --region with filters, not both")
    if not ids and (state is not JobState.UNKNOWN or region is None):
        expected = "expected ids, or --state unknown and --region"
        raise Failure(Exit.USAGE, expected, "`gaugepost jobs --group` prints the command for each group")


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
