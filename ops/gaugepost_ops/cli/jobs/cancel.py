"""`gaugepost cancel`: cancel jobs, or the parts of an upload, that were not sent yet."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from gaugepost.ledger.operations import STATES, Action
from gaugepost.lookup import require_keyed
from gaugepost.regions import Region
from gaugepost.set_view import read_set
from gaugepost.states import JobState
from gaugepost_ops.cli.audited import audited_producer
from gaugepost_ops.cli.common import (
    WHERE_JOBS,
    WHERE_UPLOADS,
    Exit,
    Failure,
    RegionLedgers,
    note,
    write_row,
)
from gaugepost_ops.cli.jobs.bulk_operation import Order
from gaugepost_ops.cli.jobs.cancel_batch import cancel_batch
from gaugepost_ops.cli.jobs.cancel_rows import print_outcome
from gaugepost_ops.cli.jobs.filters import FilterOptions, filtered
from gaugepost_ops.cli.jobs.selection import BulkOptions, Selection, bulk_options, name_selection
from gaugepost_ops.cli.output.formatting import printable
from gaugepost_ops.cli.output.progress import bar_beside_rows
from gaugepost_ops.cli.uploads.file_set import describe_cancel, find_set, is_set

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gaugepost.client import Producer
    from gaugepost.ledger import Ledger
    from gaugepost_ops.cli.audited import Recording

    CancelSome = Callable[[Ledger, Sequence[str]], Sequence[tuple[JobState | None, bool]]]

_BATCH = 200
_WORTH_A_BAR = 1_000
Outcome = tuple[JobState | None, bool]
"""The job's state after the call (None: no region knows it), and whether this call changed it."""


_CANCELLABLE = STATES[Action.CANCEL]
State = Annotated[JobState | None, typer.Option(help="All jobs in this state.", metavar="|".join(_CANCELLABLE))]
RegionOfJobs = Annotated[
    Region | None, typer.Option(help="The region of the key, or of --state; with --batch: only this one.")
]

NoEvents = Annotated[
    bool, typer.Option("--no-events", help="By id: webhooks get no events of it, as for jobs that were delivered.")
]


@filtered
@bulk_options
def cancel(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="ID...", help="Jobs to cancel, or uploads (set-…).")
    ] = None,
    state: State = None,
    region: RegionOfJobs = None,
    *,
    no_events: NoEvents = False,
    job_filter: FilterOptions,
    bulk: BulkOptions,
) -> int:
    """Cancel jobs that were not sent yet: by id, by idempotency key, all of a batch, or all of a region that match.

    By id or key, prints one line for each. For an upload (set-…), cancels the parts that were not sent yet. Exit code
    1: a job was sent already, or no region knows it. A job that was cancelled before is no failure.

    By filter, this command starts an operation. Workers carry it out, also after the command ends (`operations`).

    Example: `gaugepost cancel --state queued --region eu --source crm --reason "sent by mistake"`
    """
    if no_events and not ids:
        raise Failure(Exit.USAGE, "--no-events needs the ids of jobs or uploads")
    batch, beside = job_filter.value_of("batch"), ids or state or job_filter.narrows_beside("batch")
    if batch is not None and not beside:
        return cancel_batch(batch, region, bulk)
    others = ids or state or job_filter.narrows_beside("key")
    key = None if others or bulk.limit or bulk.rate or bulk.detach or bulk.dry_run else job_filter.value_of("key")
    target = name_selection(ids or (), state, job_filter, bulk.limit) if key is None or region is None else ""
    with audited_producer("cancel", region, target, bulk.reason, unless=bulk.dry_run) as (producer, audit):
        order = Order(Action.CANCEL, bulk.by or audit.actor, bulk.reason, bulk.rate, bulk.limit)
        if key is not None and region is not None:
            ids = [_keyed(producer, key, region)]
            audit.name(*ids)
            return _cancel(RegionLedgers(producer, region), ids, order, audit, as_json=bulk.as_json)
        selection = Selection(ids or (), state, region, job_filter, bulk, allowed=_CANCELLABLE)
        if bulk.dry_run:
            return selection.show_dry_run(producer, "cancelled")
        if ids:
            return _cancel(RegionLedgers(producer), ids, order, audit, as_json=bulk.as_json, events=not no_events)
        return selection.carry_out(producer, order, audit)


def _cancel(
    regions: RegionLedgers,
    ids: Sequence[str],
    order: Order,
    audit: Recording,
    *,
    as_json: bool,
    events: bool = True,
) -> Exit:
    """Cancel jobs and uploads that are given by id. `events`: whether webhooks get events of it."""

    def cancel_some(ledger: Ledger, some: Sequence[str]) -> Sequence[Outcome]:
        return ledger.cancel(some, order.by, order.reason, events=events)

    done, unknown = True, False
    jobs = [job_id for job_id in dict.fromkeys(ids) if not is_set(job_id)]
    for set_id in filter(is_set, dict.fromkeys(ids)):
        done &= _cancel_set(regions, set_id, cancel_some, audit, as_json=as_json)
    for job_id, outcome in apply_in_batches(regions, jobs, "cancelling", audit, cancel_some):
        done &= print_outcome(job_id, outcome, as_json=as_json)
        unknown |= outcome[0] is None
    audit.ended(Exit.DONE if done else Exit.FAILED)
    regions.require_all_reached()
    if unknown:
        note(WHERE_JOBS)
    return audit.code


def _keyed(producer: Producer, key: str, region: Region) -> str:
    """Return the id of the job with an idempotency key. Raises JobNotFound."""
    return require_keyed(producer.ledger(region).keyed(key), region)


def apply_in_batches(
    regions: RegionLedgers,
    ids: Sequence[str],
    title: str,
    audit: Recording,
    action: CancelSome,
) -> Iterator[tuple[str, Outcome]]:
    """Call `action` for all jobs, in batches, with a progress bar; yield each job's id and outcome.

    It tries the regions in turn until one knows the job. `audit` records the changes.
    """
    with bar_beside_rows(title, len(ids), worth=_WORTH_A_BAR) as advance:
        for start in range(0, len(ids), _BATCH):
            batch = ids[start : start + _BATCH]
            yield from _apply(regions, batch, audit, action).items()
            sys.stdout.flush()
            advance(len(batch))


def _apply(
    regions: RegionLedgers,
    ids: Sequence[str],
    audit: Recording,
    action: Callable[[Ledger, Sequence[str]], Sequence[Outcome]],
) -> dict[str, Outcome]:
    outcomes: dict[str, Outcome] = dict.fromkeys(ids, (None, False))
    for ledger in regions.ledgers():
        missing = [job_id for job_id, (state, _) in outcomes.items() if state is None]
        if not missing:
            break
        with regions.skip_unreachable(ledger.region):
            audit.begin(ledger.region, is_found=False)
            outcomes |= zip(missing, audit.count_outcomes(ledger.region, action(ledger, missing)), strict=True)
    return outcomes


def _cancel_set(
    regions: RegionLedgers, set_id: str, cancel_some: CancelSome, audit: Recording, *, as_json: bool
) -> bool:
    """Cancel the parts of an upload that were not sent. Return False if it came too late for all of them."""
    found = find_set(regions, set_id)
    if found is None:
        note(WHERE_UPLOADS)
        return print_outcome(set_id, (None, False), as_json=as_json)
    ledger, files = found
    audit.begin(ledger.region)
    unsent = [part.id for part in read_set(ledger, files).unsent()]
    cancelled = sum(by_this_call for _, by_this_call in cancel_some(ledger, unsent)) if unsent else 0
    audit.count(ledger.region, cancelled)
    after = read_set(ledger, files)
    states = after.counts()
    all_cancelled = set(states) == {"cancelled"}
    if as_json:
        state = "cancelled" if all_cancelled else None
        write_row({"id": set_id, "state": state, "cancelled": cancelled > 0, "parts": cancelled, "states": states})
    else:
        sys.stdout.write(f"{printable(set_id)}  {describe_cancel(after, cancelled)}\n")
    return cancelled > 0 or all_cancelled
