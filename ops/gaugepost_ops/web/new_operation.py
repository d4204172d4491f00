"""The body of `POST /v1/operations`, and the filter in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Self

from pydantic import BaseModel, Field, model_validator

from gaugepost.jobs.field_types import FLAG
from gaugepost.ledger.edits import Edits
from gaugepost.ledger.operations import STATES, Action
from gaugepost.regions import Region
from gaugepost.states import JobState
from gaugepost.verdict import Verdict
from gaugepost_ops.cli.common import Kind, given_time
from gaugepost_ops.cli.jobs.edits import edits_of
from gaugepost_ops.cli.jobs.filters import FilterOptions

if TYPE_CHECKING:
    from gaugepost.client import Producer

_REFERENCES = ("key", "label", "batch", "case", "email", "phone")

Text = Annotated[str | None, Field(min_length=1, max_length=300)]


class OperationFilter(BaseModel, extra="forbid"):
    """Which jobs an operation changes. An empty filter is refused: name a state, or a reference such as `batch`."""

    state: JobState | None = None
    kind: Kind | None = None
    verdict: Verdict | None = None
    configuration: Text = None
    source: Text = None
    fields: Annotated[tuple[Annotated[str, Field(max_length=300)], ...], Field(max_length=20)] = ()
    key: Text = None
    label: Text = None
    batch: Text = None
    case: Text = None
    email: Text = None
    phone: Text = None
    since: Text = None
    until: Text = None

    def options(self) -> FilterOptions:
        """Return the filter as the command line has it. Raises Failure for a malformed time."""
        given = ((sort, getattr(self, sort)) for sort in _REFERENCES)
        return FilterOptions(
            self.kind,
            self.verdict,
            self.configuration,
            self.source,
            self.fields,
            given_time("since", self.since),
            given_time("until", self.until),
            references=tuple((sort, value) for sort, value in given if value is not None),
        )


class NewOperation(BaseModel, extra="forbid"):
    """The body of `POST /v1/operations`."""

    action: Action
    region: Region
    filter: OperationFilter
    set: Annotated[
        dict[str, str | None],
        Field(
            max_length=20,
            description='For replay: field → new value, null removes it: {"record.Email": "a@b.example"}. '
            'For settle: {"as": "delivered"} or {"as": "dead"}.',
        ),
    ] = {}
    rate: Annotated[int | None, Field(ge=1, le=1_000_000, description="At most so many jobs a second.")] = None
    limit: Annotated[int | None, Field(ge=1, le=10_000_000, description="At most so many jobs: the oldest.")] = None
    reason: Annotated[str, Field(max_length=500)] = ""
    dry_run: Annotated[bool, Field(description="Change nothing; count the jobs by groups."), FLAG] = False

    @model_validator(mode="after")
    def _fits(self) -> Self:
        allowed = STATES[self.action]
        references = any(getattr(self.filter, sort) for sort in _REFERENCES)
        if self.filter.state not in allowed and (self.filter.state is not None or not references):
            raise ValueError(f"filter: expected a state of {', '.join(allowed)}, or a reference such as batch")
        if self.action is Action.SETTLE and (set(self.set) != {"as"} or self.set["as"] not in {"delivered", "dead"}):
            raise ValueError('set: expected {"as": "delivered"} or {"as": "dead"}')
        if self.action is Action.CANCEL and self.set:
            raise ValueError("set: expected none for cancel")
        return self

    def to(self) -> JobState | None:
        """Return the state that `settle` gives the jobs."""
        return JobState(str(self.set["as"])) if self.action is Action.SETTLE else None

    def edits(self, producer: Producer) -> Edits:
        """Return the changes of `replay`. Raises Failure; InvalidJob for an alias of another region."""
        if self.action is not Action.REPLAY:
            return Edits()
        return edits_of(self.set, producer.mappings).resolved(self.region)
