"""Check edits on all jobs of a replay; replay jobs that are given by id at a rate, and report each."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gaugepost.errors import GaugepostError, InvalidJob
from gaugepost.states import JobState
from gaugepost_ops.cli.common import NO_SUCH_JOB, Exit, Failure, note, write_row
from gaugepost_ops.cli.jobs.groups import SCHEDULED, scope_options
from gaugepost_ops.cli.jobs.throttle import Throttle
from gaugepost_ops.cli.output.formatting import printable
from gaugepost_ops.cli.output.progress import bar, bar_beside_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gaugepost.ledger import Edit, JobView, Ledger
    from gaugepost.ledger.edits import Edits
    from gaugepost.regions import Region
    from gaugepost_ops.cli.audited import Recording
    from gaugepost_ops.cli.common import RegionLedgers
    from gaugepost_ops.cli.jobs.bulk_operation import Order
    from gaugepost_ops.cli.jobs.selection import Plan

_BATCH = 200
_WORTH_A_BAR = 1_000
_NAMED = 10
_CHANGED = "another call changed it meanwhile"


def check_edits(regions: RegionLedgers, plan: Plan, edits: Edits) -> None:
    """Check the edits on every job, before the first one is replayed. Raises Failure if a job would be invalid."""
    invalid = 0
    with bar("checking", plan.total, worth=_WORTH_A_BAR) as advance:
        for view in plan.views(regions):
            advance(1)
            try:
                edits.of(view)
            except InvalidJob as problem:
                invalid += 1
                if invalid <= _NAMED:
                    note(f"{view.kind} {view.id}: {problem}")
    if invalid:
        more = f" (the first {_NAMED} are above)" if invalid > _NAMED else ""
        raise Failure(
            Exit.USAGE, f"nothing was replayed: the changes make {invalid:,} of {plan.total:,} jobs invalid{more}"
        )


@dataclass(slots=True)
class Report:
    """Prints the outcome of each job as a line."""

    as_json: bool
    replayed: int = 0
    skipped: Counter[str] = field(default_factory=Counter)

    def add_replayed(self, job_id: str, region: Region, state: JobState | None) -> None:
        """Count and print a job that was replayed."""
        self.replayed += 1
        self._print(job_id, region, state, None)

    def add_skipped(self, job_id: str, view: JobView | None, edit: Edit | None = None, why: str | None = None) -> None:
        """Count and print a job that was not replayed, with the reason."""
        why = why or _why_skipped(view, edit)
        self.skipped[why] += 1
        self._print(job_id, view.region if view else None, view.state if view else None, why)

    def _print(self, job_id: str, region: Region | None, state: JobState | None, why: str | None) -> None:
        if self.as_json:
            row = {"id": job_id, "region": region and str(region), "state": state and str(state)}
            write_row({**row, "replayed": why is None, "why_not": why})
        else:
            sys.stdout.write(f"{printable(job_id)}  {'replayed' if why is None else printable(why)}\n")


def _why_skipped(view: JobView | None, edit: Edit | None) -> str:
    if view is None:
        return NO_SUCH_JOB
    if view.state not in {JobState.DEAD, JobState.PARKED}:
        return f"it is {view.state}"
    if view.reason == SCHEDULED:
        return f"it is scheduled for {view.job['deliver_at']}: --unset deliver_at sends it now"
    if view.held_by is not None:
        return f"a hold stops it: gaugepost resume {' '.join([view.region, *scope_options(view.held_by)])}"
    if _has_expired(view, edit):
        return "its expires_at has passed: --unset expires_at, or --set a later one"
    return _CHANGED


def _has_expired(view: JobView, edit: Edit | None) -> bool:
    if edit is not None:
        return edit.job.expires_at is not None and edit.job.expires_at <= datetime.now(UTC)
    text = view.job.get("expires_at")
    return text is not None and datetime.fromisoformat(text) <= datetime.now(UTC)


def run(regions: RegionLedgers, plan: Plan, order: Order, report: Report, audit: Recording) -> bool:
    """Replay all jobs of the plan, and record them. Return whether Ctrl-C stopped it.

    If Redis fails, it notes how many jobs were replayed, and raises GaugepostError.
    """
    done, worth = 0, order.rate or _WORTH_A_BAR
    with Throttle(order.rate) as throttle, bar_beside_rows("replaying", plan.total, worth=worth) as advance:
        try:
            for ledger, ids in plan.batches(regions, throttle.batch_size(_BATCH)):
                audit.begin(ledger.region)
                _replay(ledger, ids, order, report, audit)
                sys.stdout.flush()
                done += len(ids)
                advance(len(ids))
                if done < plan.total:
                    throttle.wait_until_due(done)
                if throttle.interrupted:
                    break
        except (GaugepostError, KeyboardInterrupt):
            note(f"{_progress_text(report, plan)}; no answer came for up to {min(_BATCH, plan.total - done):,} more")
            raise
    if throttle.interrupted and done < plan.total:
        note(f"{_progress_text(report, plan)}; the others stay as they are. Call the same command again to go on")
        return True
    return False


def _progress_text(report: Report, plan: Plan) -> str:
    return f"{report.replayed:,} of {plan.total:,} were replayed"


def _replay(ledger: Ledger, ids: Sequence[str], order: Order, report: Report, audit: Recording) -> None:
    """Replay one batch."""
    edited = _edit(ledger, ids, order.edits, report) if order.edits else {}
    to_replay = [job_id for job_id in ids if job_id in edited] if order.edits else ids
    replayed = ledger.replay(to_replay, order.by, order.reason, edited) if to_replay else ()
    outcomes = dict(zip(to_replay, audit.count_outcomes(ledger.region, replayed), strict=True))
    skipped = [job_id for job_id, (_, done) in outcomes.items() if not done]
    views = dict(zip(skipped, ledger.read(skipped), strict=True)) if skipped else {}
    for job_id, (state, done) in outcomes.items():
        if done:
            report.add_replayed(job_id, ledger.region, state)
        else:
            report.add_skipped(job_id, views[job_id], edited.get(job_id))


def _edit(ledger: Ledger, ids: Sequence[str], edits: Edits, report: Report) -> dict[str, Edit]:
    """Return the edited jobs of a batch. Skips a job that has changed since the check and is not valid now."""
    edited: dict[str, Edit] = {}
    for job_id, view in zip(ids, ledger.read(ids), strict=True):
        try:
            if view is not None:
                edited[job_id] = edits.of(view)
            else:
                report.add_skipped(job_id, None)
        except InvalidJob:
            report.add_skipped(job_id, view, why=_CHANGED)
    return edited
