"""Run `gaugepost replay`: plan which jobs in which order, check the edits, replay at a rate, report."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gaugepost.errors import GaugepostError, InvalidJob
from gaugepost.states import JobState
from gaugepost_ops.cli.common import NO_SUCH_JOB, Exit, Failure, note, write_row
from gaugepost_ops.cli.jobs.groups import scope_options
from gaugepost_ops.cli.jobs.throttle import Throttle
from gaugepost_ops.cli.output.formatting import printable
from gaugepost_ops.cli.output.progress import bar, bar_beside_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from gaugepost.ledger import Edit, JobView, Ledger
    from gaugepost.regions import Region
    from gaugepost_ops.cli.common import RegionLedgers
    from gaugepost_ops.cli.jobs.edits import Edits

_BATCH = 200
_STAMP_BYTES = 8
_WORTH_A_BAR = 1_000
_NAMED = 10
_CHANGED = "another call changed it meanwhile"


@dataclass(slots=True)
class Plan:
    """The jobs to replay. For each it keeps stamp and id as bytes that sort in the right order: 90 MB for a million."""

    jobs: dict[Region, list[bytes]] = field(default_factory=dict)

    def add(self, view: JobView) -> None:
        """Add a job."""
        self.jobs.setdefault(view.region, []).append(view.stamp.to_bytes(_STAMP_BYTES, "big") + view.id.encode())

    def add_all(self, views: Iterable[JobView]) -> None:
        """Add jobs."""
        for view in views:
            self.add(view)

    def order(self, limit: int | None) -> None:
        """Sort the jobs by the time at which they were enqueued; keep at most `limit` of each region."""
        for found in self.jobs.values():
            found.sort()
            if limit is not None:
                del found[limit:]

    @property
    def total(self) -> int:
        """Return the number of jobs."""
        return sum(map(len, self.jobs.values()))

    def ids(self) -> list[str]:
        """Return the ids, in order."""
        return [one[_STAMP_BYTES:].decode() for found in self.jobs.values() for one in found]

    def batches(self, regions: RegionLedgers, size: int = _BATCH) -> Iterator[tuple[Ledger, list[str]]]:
        """Yield the ids in order, in batches, each with its ledger."""
        for ledger in regions.ledgers():
            found = self.jobs.get(ledger.region, [])
            for start in range(0, len(found), size):
                yield ledger, [one[_STAMP_BYTES:].decode() for one in found[start : start + size]]

    def views(self, regions: RegionLedgers) -> Iterator[JobView]:
        """Read and yield the jobs as they are now."""
        for ledger, ids in self.batches(regions):
            yield from (view for view in ledger.read(ids) if view is not None)


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
    """Prints the outcome of each job as a line, if ids were given (`named`) or with --json; otherwise only sums."""

    named: bool
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
        elif self.named:
            sys.stdout.write(f"{printable(job_id)}  {'replayed' if why is None else printable(why)}\n")

    def print_summary(self) -> None:
        """Print the sums, if it prints no lines."""
        if not self.as_json and not self.named:
            sys.stdout.write(f"{self.replayed:,} replayed\n")
            for why, number in self.skipped.most_common():
                sys.stdout.write(f"{number:,} not replayed: {printable(why)}\n")
        sys.stdout.flush()


def _why_skipped(view: JobView | None, edit: Edit | None) -> str:
    if view is None:
        return NO_SUCH_JOB
    if view.state not in {JobState.DEAD, JobState.PARKED}:
        return f"it is {view.state}"
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


def run(
    regions: RegionLedgers, plan: Plan, edits: Edits, rate: int | None, report: Report, *, by: str, why: str
) -> bool:
    """Replay all jobs of the plan, at most `rate` per second. Return whether Ctrl-C stopped it.

    If Redis fails, it notes how many jobs were replayed, and raises GaugepostError.
    """
    done, worth = 0, _WORTH_A_BAR if rate is None else rate
    shown_bar = bar_beside_rows if report.named or report.as_json else bar
    with Throttle(rate) as throttle, shown_bar("replaying", plan.total, worth=worth) as advance:
        try:
            for ledger, ids in plan.batches(regions, throttle.batch_size(_BATCH)):
                _replay(ledger, ids, edits, report, by=by, why=why)
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


def _replay(ledger: Ledger, ids: Sequence[str], edits: Edits, report: Report, *, by: str, why: str) -> None:
    """Replay one batch."""
    edited = _edit(ledger, ids, edits, report) if edits else {}
    to_replay = [job_id for job_id in ids if job_id in edited] if edits else ids
    outcomes = dict(zip(to_replay, ledger.replay(to_replay, by, why, edited), strict=True)) if to_replay else {}
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
