"""Edits: changes that a person makes to a job before it is sent again, by a command or in an operation.

The changed job is checked as a new job is. Messages and the job's history name the changed fields, but never their
values: a value may be personal data.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gaugepost.errors import DataSealed, InvalidJob, Problem
from gaugepost.jobs import parse_job_json
from gaugepost.ledger.producer_calls import Edit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from gaugepost.jobs import JobBase
    from gaugepost.ledger.views import JobView
    from gaugepost.mappings import Mappings
    from gaugepost.regions import Region


@dataclass(frozen=True, slots=True)
class Change:
    """One field and its new value; None removes the field. In `record` and `fields`, `heading` names the column."""

    field: str
    heading: str | None
    value: str | None

    @property
    def name(self) -> str:
        """Return the field's name as it is on the command line: `record.Email`."""
        return self.field if self.heading is None else f"{self.field}.{self.heading}"

    def apply(self, data: dict[str, Any]) -> None:
        """Change a job's JSON in place. Raises InvalidJob if a heading differs from one of the job only in case."""
        if self.field == "deliver_at" and self.value is not None:
            again = "to send it at another time, cancel it and enqueue it again"
            raise InvalidJob([Problem(self.name, f"expected --unset deliver_at, which sends the job now; {again}")])
        if self.heading is None:
            _put(data, self.field, self._split())
            return
        columns = data.setdefault(self.field, {})
        if self.heading not in columns:
            self._check_spelling(columns)
        _put(columns, self.heading, self.value)

    def _split(self) -> str | list[str] | None:
        """Return the value; for fields that are lists, split it at commas: `--set labels=a,b`."""
        if self.value is None or self.field not in {"labels", "reason_codes"}:
            return self.value
        return [part.strip() for part in self.value.split(",")]

    def _check_spelling(self, columns: Mapping[str, Any]) -> None:
        """Raise InvalidJob if the job has this heading in another case.

        Headings are case-sensitive at CustomerGauge, which drops the ones it does not know.
        """
        for heading in columns:
            if heading.lower() == str(self.heading).lower():
                raise InvalidJob([Problem(self.name, f"the job has {self.field}.{heading}: use this spelling")])


def _put(data: dict[str, Any], name: str, value: object) -> None:
    if value is None:
        data.pop(name, None)
    else:
        data[name] = value


@dataclass(frozen=True, slots=True)
class Edits:
    """All changes of one call of `replay`.

    `mappings`: the command compares the changed jobs with mappings.toml. Workers do not: the command has replaced an
    alias by its reference (`resolved`).
    """

    changes: tuple[Change, ...] = ()
    mappings: Mappings | None = None

    def __bool__(self) -> bool:
        return bool(self.changes)

    @property
    def names(self) -> list[str]:
        """Return the names of the changed fields, as they are on the command line."""
        return [change.name for change in self.changes]

    def to_json(self) -> str:
        """Return the changes in the form that an operation stores, after it has encrypted them."""
        return json.dumps([[one.field, one.heading, one.value] for one in self.changes])

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """Parse the form of `to_json`."""
        return cls(tuple(Change(*one) for one in json.loads(text)))

    def resolved(self, region: Region) -> Self:
        """Return the changes with a reference in place of an alias. Raises InvalidJob for an alias of other regions."""
        mappings = self.mappings
        if mappings is None:
            return self
        return replace(self, changes=tuple(_resolved(one, mappings, region) for one in self.changes))

    def of(self, view: JobView) -> Edit:
        """Return the job with the changes, checked as a new job. Raises InvalidJob; DataSealed if it is encrypted."""
        if view.sealed:
            raise DataSealed(view.sealed)
        data = json.loads(json.dumps(view.job))
        for change in self.changes:
            change.apply(data)
        job: JobBase = parse_job_json(json.dumps(data))
        if self.mappings is not None:
            job, _ = self.mappings.check(job)
        return Edit(job, view.revision, tuple(self.names))


def _resolved(change: Change, mappings: Mappings, region: Region) -> Change:
    if change.field != "configuration" or change.value is None:
        return change
    return replace(change, value=mappings.resolve(change.value, region))
