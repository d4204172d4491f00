"""The jobs that `replay`, `cancel` and `settle` change: given by id, or all in a state of a region that match."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import typer

from gaugepost.regions import Region
from gaugepost.states import JobState
from gaugepost_ops.cli.audited import name_jobs
from gaugepost_ops.cli.common import AsJson, Exit, Failure, RegionLedgers
from gaugepost_ops.cli.jobs.bulk_operation import carry_out
from gaugepost_ops.cli.jobs.filters import without_repeats
from gaugepost_ops.cli.jobs.groups import show_dry_run
from gaugepost_ops.cli.jobs.references import Walk, Wanted
from gaugepost_ops.cli.option_groups import option_group

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from gaugepost.client import Producer
    from gaugepost.ledger import JobView, Ledger
    from gaugepost.ledger.job_filter import JobFilter
    from gaugepost_ops.cli.audited import Recording
    from gaugepost_ops.cli.jobs.bulk_operation import Order
    from gaugepost_ops.cli.jobs.filters import FilterOptions

_BATCH = 200
_STAMP_BYTES = 8

RegionOfState = Annotated[Region | None, typer.Option(help="The region of the jobs, with a filter.")]
Limit = Annotated[int | None, typer.Option(min=1, help="At most this many: the oldest.", metavar="N")]
Rate = Annotated[int | None, typer.Option(min=1, help="At most this many jobs per second.", metavar="N")]
Reason = Annotated[str, typer.Option(help="Why, for the jobs' history.", metavar="WHY")]
By = Annotated[str | None, typer.Option(help="Who, for the history; default: user@host.", metavar="WHO")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Change nothing; count the jobs by groups.")]

Detach = Annotated[
    bool, typer.Option("--detach", help="With a filter: print the operation's id, and do not wait for its end.")
]


@dataclass(frozen=True, slots=True)
class BulkOptions:
    """How a command changes jobs, and how it reports it. See the options."""

    limit: int | None
    rate: int | None
    reason: str
    by: str | None
    dry_run: bool
    detach: bool
    as_json: bool


def _read_bulk(
    *,
    limit: Limit = None,
    rate: Rate = None,
    reason: Reason = "",
    by: By = None,
    dry_run: DryRun = False,
    detach: Detach = False,
    as_json: AsJson = False,
) -> BulkOptions:
    return BulkOptions(limit, rate, reason, by, dry_run, detach, as_json)


bulk_options = option_group("bulk", _read_bulk)
"""Gives a command the options of BulkOptions."""


def name_selection(ids: Sequence[str], state: JobState | None, job_filter: FilterOptions, limit: int | None) -> str:
    """Return the selection as a text for the audit trail: the ids, or the filter."""
    return " ".join(filter(None, (name_jobs(ids), job_filter.name(state, limit))))


@dataclass(frozen=True, slots=True)
class Selection:
    """The jobs that one call changes: given by id, or those of a region in a state of `allowed`.

    Raises Failure unless it has ids, or a region and a state or references. Without a state: all of `allowed`.
    """

    ids: Sequence[str]
    state: JobState | None
    region: Region | None
    job_filter: FilterOptions
    bulk: BulkOptions
    allowed: tuple[JobState, ...]

    def __post_init__(self) -> None:
        expected = f"--state {'|'.join(self.allowed)} and --region"
        paced = self.bulk.rate and JobState.DEAD not in self.allowed  # only replay has a rate for ids
        of_filter = paced or self.bulk.limit or self.bulk.detach or self.job_filter.narrows
        if self.ids and (self.state or self.region or of_filter):
            raise Failure(Exit.USAGE, f"expected either ids, or {expected} with filters, not both")
        any_state = self.state is None and self.job_filter.references
        if not self.ids and (self.region is None or (self.state not in self.allowed and not any_state)):
            hint = "`gaugepost jobs --group` prints the command for each group"
            raise Failure(Exit.USAGE, f"expected ids, or {expected}", hint)

    def filter_of(self, producer: Producer) -> JobFilter:
        """Return the filter; only without ids. Raises InvalidJob if the region does not have the configuration."""
        assert self.region is not None  # noqa: S101 - checked above
        return self.job_filter.of_region(self.state, producer, self.region)

    def carry_out(self, producer: Producer, order: Order, audit: Recording) -> Exit:
        """Start an operation on the jobs that match the filters, and follow it; only without ids."""
        [ledger] = RegionLedgers(producer, self.region).ledgers()
        detach, as_json = self.bulk.detach, self.bulk.as_json
        return carry_out(ledger, self.filter_of(producer), order, audit, detach=detach, as_json=as_json)

    def show_dry_run(self, producer: Producer, what: str) -> Exit:
        """Print the jobs that would change, by groups. `what`: `cancelled`."""
        regions = RegionLedgers(producer, self.region)
        show_dry_run(self.plan(producer, regions).views(regions), producer, what, as_json=self.bulk.as_json)
        regions.require_all_reached()
        return Exit.DONE

    def matching(self, producer: Producer, regions: RegionLedgers) -> Iterator[JobView]:
        """Yield the jobs in the given state that match the filters; none if ids are given."""
        if self.ids:
            return
        wanted = Wanted(self.job_filter.references, self.job_filter.since, self.job_filter.until)
        search = Walk(regions, (self.state,) if self.state else self.allowed, wanted, None)
        yield from filter(self.filter_of(producer).matches, without_repeats(iter(search)))
        search.note()

    def named(self, regions: RegionLedgers) -> dict[str, JobView | None]:
        """Read the jobs that are given by id. None: no region has it."""
        found: dict[str, JobView | None] = dict.fromkeys(self.ids)
        for ledger in regions.ledgers():
            missing = [job_id for job_id, view in found.items() if view is None]
            if not missing:
                break
            with regions.skip_unreachable(ledger.region):
                found |= zip(missing, ledger.read(missing), strict=True)
        return found

    def plan(self, producer: Producer, regions: RegionLedgers) -> Plan:
        """Return the jobs that would change now, in order."""
        plan = Plan()
        plan.add_all(self.matching(producer, regions))
        plan.add_all(view for view in self.named(regions).values() if view and view.state in self.allowed)
        plan.order(self.bulk.limit)
        return plan


@dataclass(slots=True)
class Plan:
    """The jobs to change, in order. It keeps stamp and id of each as bytes that sort in that order: 90 MB a million."""

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
