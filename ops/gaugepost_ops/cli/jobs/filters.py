"""Filters: the options that `jobs`, `replay`, `cancel` and `settle` share, and the iteration over jobs that match."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from gaugepost.ledger.holds import iso
from gaugepost.ledger.job_filter import JobFilter
from gaugepost.ledger.reference_query import Query
from gaugepost.ledger.references import hash_values
from gaugepost.verdict import Verdict
from gaugepost_ops.cli.aliases import of_configuration, reference
from gaugepost_ops.cli.audited import name_conditions
from gaugepost_ops.cli.common import Kind, given_time
from gaugepost_ops.cli.jobs.reference_options import (
    BatchOption,
    CaseOption,
    EmailOption,
    KeyOption,
    LabelOption,
    PhoneOption,
    given_value,
)
from gaugepost_ops.cli.option_groups import option_group

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
SinceOption = Annotated[
    str | None,
    typer.Option(
        help="Only jobs since then: ended ones by their end, others by their enqueue; with --key, --label, --batch, "
        "--case, --email or --phone all by their enqueue. A time with its offset, or `2h`, `3d` ago.",
        metavar="T",
    ),
]
UntilOption = Annotated[str | None, typer.Option(help="The same, until then.", metavar="T")]


@dataclass(frozen=True, slots=True)
class FilterOptions:
    """The conditions that a job must meet, as the options give them. None: any value matches.

    `since`, `until`: Unix seconds; see JobFilter. `references`: sort and value.
    """

    kind: Kind | None
    verdict: Verdict | None
    configuration: str | None
    source: str | None
    fields: Sequence[str] | None
    since: float | None = None
    until: float | None = None
    references: tuple[tuple[str, str], ...] = ()

    @property
    def narrows(self) -> bool:
        """Return whether there is any condition."""
        texts = any((self.kind, self.verdict, self.configuration, self.source, self.fields))
        return bool(texts or self.references) or self.since is not None or self.until is not None

    def value_of(self, sort: str) -> str | None:
        """Return the value of a reference; None without one of this sort."""
        return dict(self.references).get(sort)

    def narrows_beside(self, sort: str) -> bool:
        """Return whether there is a condition beside the reference of this sort."""
        return replace(self, references=tuple(one for one in self.references if one[0] != sort)).narrows

    def name(self, state: JobState | None, limit: int | None = None) -> str:
        """Return the filter as a text for the audit trail: `state=dead kind=record`."""
        return name_conditions(
            state=state,
            kind=self.kind,
            verdict=self.verdict,
            configuration=self.configuration,
            source=self.source,
            field=",".join(self.fields or ()),
            by=",".join(sort for sort, _ in self.references),
            since=iso(_ms(self.since)),
            until=iso(_ms(self.until)),
            limit=limit,
        )

    def of_region(self, state: JobState | None, producer: Producer, region: Region) -> JobFilter:
        """Return the filter for the jobs of a region. Raises InvalidJob if it does not have the configuration."""
        return JobFilter(
            state=state,
            kind=self.kind,
            verdict=self.verdict,
            configuration=self.configuration and reference(producer, self.configuration, region),
            source=self.source,
            fields=tuple(self.fields or ()),
            since=_ms(self.since),
            until=_ms(self.until),
            references=hash_values(self._sought(), producer.ledger(region).producer_calls.cipher),
        )

    def _sought(self) -> tuple[tuple[str, str], ...]:
        """Return the references in their one spelling, the one with the fewest jobs first. Raises InvalidQuery."""
        if not self.references:
            return ()
        query = Query.of(None, dict(self.references), None, None)
        return query.any_of + query.all_of

    def select(self, views: Iterable[JobView], producer: Producer, region: Region | None) -> Iterator[JobView]:
        """Yield the jobs that meet all conditions. Raises InvalidJob if `region` does not have the configuration."""
        has_configuration = of_configuration(producer, self.configuration, region)
        others = JobFilter(
            kind=self.kind, verdict=self.verdict, source=self.source, fields=tuple(self.fields or ())
        )  # without the configuration: an alias has another reference in each region
        return (view for view in views if has_configuration(view) and others.matches(view))


def read_filter(  # noqa: PLR0913 - an option each
    *,
    kind: KindOption = None,
    verdict: VerdictOption = None,
    configuration: ConfigurationOption = None,
    source: SourceOption = None,
    field: FieldsOption = None,
    key: KeyOption = None,
    label: LabelOption = None,
    batch: BatchOption = None,
    case: CaseOption = None,
    email: EmailOption = None,
    phone: PhoneOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
) -> FilterOptions:
    """Return the options of a filter. Raises Failure for a malformed time."""
    times = given_time("--since", since), given_time("--until", until)
    given = {"key": key, "label": label, "batch": batch, "case": case, "email": email, "phone": phone}
    references = tuple((sort, given_value(value)) for sort, value in given.items() if value is not None)
    return FilterOptions(kind, verdict, configuration, source, field, *times, references=references)


filtered = option_group("job_filter", read_filter)
"""Gives a command the options of a filter."""


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds * 1000)


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
