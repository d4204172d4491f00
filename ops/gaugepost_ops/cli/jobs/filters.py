"""Filters: the options that `jobs`, `replay` and `settle` share, and the iteration over the jobs that match."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from gaugepost.ledger.job_filter import JobFilter
from gaugepost.verdict import Verdict
from gaugepost_ops.cli.aliases import of_configuration
from gaugepost_ops.cli.audited import name_conditions
from gaugepost_ops.cli.common import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from gaugepost.client import Producer
    from gaugepost.ledger import JobView
    from gaugepost.regions import Region
    from gaugepost.states import JobState
    from gaugepost_ops.cli.common import RegionLedgers

_BATCH = 200
_REMEMBERED = 50_000

KindOption = Annotated[Kind | None, typer.Option(help="Only this kind.")]
VerdictOption = Annotated[Verdict | None, typer.Option(help="Only jobs whose last verdict is this one.", metavar="V")]
ConfigurationOption = Annotated[
    str | None, typer.Option(help="Only jobs of this inbound mapping: its reference, or its alias.", metavar="C")
]
SourceOption = Annotated[str | None, typer.Option(help="Only jobs that this service enqueued.", metavar="X")]
FieldsOption = Annotated[
    list[str] | None, typer.Option("--field", help="Only jobs whose last answer has an error for it.", metavar="F")
]


@dataclass(frozen=True, slots=True)
class FilterOptions:
    """The conditions that a job must meet, as the options give them. None: any value matches."""

    kind: Kind | None
    verdict: Verdict | None
    configuration: str | None
    source: str | None
    fields: Sequence[str] | None

    @property
    def narrows(self) -> bool:
        """Return whether there is any condition."""
        return any((self.kind, self.verdict, self.configuration, self.source, self.fields))

    def name(self, state: JobState | None, limit: int | None = None) -> str:
        """Return the filter as a text for the audit trail: `state=dead kind=record`."""
        return name_conditions(
            state=state,
            kind=self.kind,
            verdict=self.verdict,
            configuration=self.configuration,
            source=self.source,
            field=",".join(self.fields or ()),
            limit=limit,
        )

    def select(self, views: Iterable[JobView], producer: Producer, region: Region | None) -> Iterator[JobView]:
        """Yield the jobs that meet all conditions. Raises InvalidJob if `region` does not have the configuration."""
        has_configuration = of_configuration(producer, self.configuration, region)
        others = JobFilter(
            kind=self.kind, verdict=self.verdict, source=self.source, fields=tuple(self.fields or ())
        )  # without the configuration: an alias has another reference in each region
        return (view for view in views if has_configuration(view) and others.matches(view))


def walk(regions: RegionLedgers, states: tuple[JobState, ...]) -> Iterator[JobView]:
    """Yield the jobs in these states. Omits a job whose state changed before it was read."""
    for state in states:
        for ledger in regions.ledgers():
            with regions.skip_unreachable(ledger.region):
                ids = ledger.ids(state)
                while batch := list(islice(ids, _BATCH)):
                    yield from (view for view in ledger.read(batch) if view is not None and view.state is state)


def without_repeats(views: Iterator[JobView]) -> Iterator[JobView]:
    """Omit jobs that were yielded before, since a job may change its state while the lists are read.

    It remembers a bounded number of ids, so a repeat is possible in a very long list.
    """
    seen: dict[str, None] = {}
    for view in views:
        if view.id not in seen:
            seen[view.id] = None
            yield view
        if len(seen) > _REMEMBERED:
            del seen[next(iter(seen))]
