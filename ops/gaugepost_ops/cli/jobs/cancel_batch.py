"""`gaugepost cancel --batch`: cancel the jobs of a batch that were not sent."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from gaugepost.ledger.reference_query import Query
from gaugepost.states import JobState
from gaugepost_ops.cli.audited import audited_producer, name_conditions
from gaugepost_ops.cli.common import Exit, Failure, RegionLedgers, note, open_producer, write_row
from gaugepost_ops.cli.jobs.cancel_rows import print_outcome
from gaugepost_ops.cli.output.formatting import counted, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gaugepost.ledger import Ledger
    from gaugepost.ledger.batch_views import BatchView
    from gaugepost.regions import Region
    from gaugepost_ops.cli.audited import Recording
    from gaugepost_ops.cli.jobs.selection import BulkOptions

_PAGE = 200
_UNSENT = frozenset({JobState.QUEUED, JobState.WAITING, JobState.PARKED})
_PASSES = 3
"""How often to look for jobs that were enqueued meanwhile."""


def cancel_batch(name: str, region: Region | None, bulk: BulkOptions) -> int:
    """Cancel all jobs of a batch that were not sent, the newest first. Return the exit code.

    Prints the sum, and the jobs for which it came too late; with `as_json` a row for each job. `region`: None for all.
    Fails if it came too late for a job, or if jobs are left that were enqueued meanwhile. Raises Failure.
    """
    if bulk.limit or bulk.rate or bulk.detach:
        raise Failure(Exit.USAGE, "--limit, --rate and --detach do not go with --batch alone")
    if bulk.dry_run:
        return _count(name, region, as_json=bulk.as_json)
    done, missed, left, found = 0, 0, 0, False
    with audited_producer("cancel", region, name_conditions(batch=name), bulk.reason) as (producer, audit):
        by = bulk.by or audit.actor
        regions = RegionLedgers(producer, region)
        for ledger in regions.ledgers():
            with regions.skip_unreachable(ledger.region):
                if ledger.batches.read([name])[0] is not None:
                    found = True
                    audit.begin(ledger.region)
                    cancelled, late = _cancel_in(ledger, name, audit, by, bulk)
                    done, missed = done + cancelled, missed + late
                    left += max(0, _number_unsent(ledger.batches.read([name])) - late)
        if not found:
            regions.require_all_reached()
            raise _unknown(name)
        audit.ended(Exit.FAILED if missed or left else Exit.DONE)
        regions.require_all_reached()
    if not bulk.as_json:
        note(f"batch {name}: {counted(done, 'job')} cancelled")
    if left:
        not_done = counted(left, "job was", "jobs were")
        note(f"batch {name}: {not_done} not cancelled: enqueued meanwhile. Stop the producer, and cancel again")
    return audit.code


def _cancel_in(ledger: Ledger, name: str, audit: Recording, by: str, bulk: BulkOptions) -> tuple[int, int]:
    """Return how many jobs this call cancelled, and for how many it came too late."""
    done = 0
    late: dict[str, tuple[JobState | None, bool]] = {}
    for _ in range(_PASSES):
        before = done
        for ids in _unsent(ledger, name):
            outcomes = audit.count_outcomes(ledger.region, ledger.cancel(ids, by, bulk.reason))
            for job_id, outcome in zip(ids, outcomes, strict=True):
                done += outcome[1]
                late.pop(job_id, None)
                if outcome[1] and bulk.as_json:
                    print_outcome(job_id, outcome, as_json=True)
                if not outcome[1] and outcome[0] is not JobState.CANCELLED:
                    late[job_id] = outcome
            sys.stdout.flush()
        if done == before:
            break
    for job_id, outcome in late.items():
        print_outcome(job_id, outcome, as_json=bulk.as_json)
    return done, len(late)


def _unsent(ledger: Ledger, name: str) -> Iterator[list[str]]:
    query, cursor = Query.of(None, {"batch": name}, None, None), None
    while True:
        page = ledger.find(query, _PAGE, cursor)
        if ids := [view.id for view in page if view.state in _UNSENT]:
            yield ids
        cursor = page.next
        if cursor is None:
            return


def _count(name: str, region: Region | None, *, as_json: bool) -> int:
    with open_producer() as producer:
        regions = RegionLedgers(producer, region)
        views: list[BatchView] = []
        for ledger in regions.ledgers():
            with regions.skip_unreachable(ledger.region):
                views += [view for view in ledger.batches.read([name]) if view is not None]
        regions.require_all_reached()
    if not views:
        raise _unknown(name)
    number = _number_unsent(views)
    if as_json:
        write_row({"batch": name, "would_cancel": number})
    else:
        sys.stdout.write(printable(f"batch {name}: {number:,} jobs would be cancelled") + "\n")
    return Exit.DONE


def _number_unsent(views: Sequence[BatchView | None]) -> int:
    return sum(view.states.get(state, 0) for view in views if view is not None for state in _UNSENT)


def _unknown(name: str) -> Failure:
    return Failure(Exit.FAILED, f"no batch {name}", "`gaugepost batches` lists all")
