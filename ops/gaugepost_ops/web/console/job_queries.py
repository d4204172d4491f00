"""What `/jobs` lists: the search box and the form's filters, both of which are in the URL."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

from gaugepost.errors import InvalidQuery
from gaugepost.jobs import JOBS
from gaugepost.ledger.job_filter import JobFilter
from gaugepost.regions import Region
from gaugepost.states import JobState
from gaugepost.verdict import Verdict
from gaugepost_ops.cli.common import Kind
from gaugepost_ops.cli.jobs.jobs import OPEN_FIRST
from gaugepost_ops.web.listing import Wanted, given_moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from enum import StrEnum

    from starlette.datastructures import ImmutableMultiDict

    from gaugepost_ops.web.console.people import PersonAtConsole

    T = TypeVar("T", bound=StrEnum)

REFERENCES = ("id", "key", "email", "phone", "case", "number", "batch", "file", "label")
NAMES = ("state", "region", "kind", "verdict", "configuration", "source", "field", *REFERENCES, "since", "until")
LOOKED_AT = 500
"""How many jobs a page looks at, at most: a filter that few jobs meet must not make it slow."""
_LONGEST = 300
_MOST = 20
_PARTS = re.compile(r'(?:(\w+):)?(?:"([^"]*)"|(\S+))')


@dataclass(frozen=True)
class JobQuery:
    """The conditions of a list. `given`: name and value, each name in NAMES; `value`: a reference of any sort."""

    given: tuple[tuple[str, str], ...]
    value: str | None = None

    @classmethod
    def of(cls, parameters: ImmutableMultiDict[str, Any] | Mapping[str, str]) -> JobQuery:
        """Read the parameters of a URL. `q` is the search box. Raises InvalidQuery."""
        pairs = parameters.items() if isinstance(parameters, dict) else parameters.multi_items()  # type: ignore[union-attr]
        given = [(name, str(value).strip()) for name, value in pairs if name in NAMES and str(value).strip()]
        free: list[str] = []
        for name, value in _parts(parameters.get("q", "")):
            if name is None:
                free.append(value)
            else:
                given.append((name, value))
        if len(given) > _MOST or any(len(value) > _LONGEST for _, value in given):
            raise InvalidQuery(f"expected at most {_MOST} conditions of {_LONGEST} characters each")
        return cls(tuple(dict.fromkeys(given)), " ".join(free)[:_LONGEST] or None)

    @cached_property
    def values(self) -> dict[str, str]:
        """Return name → value; of a repeated name the last one."""
        return dict(self.given)

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that the last answer must have errors for."""
        return tuple(value for name, value in self.given if name == "field")

    @property
    def references(self) -> dict[str, str]:
        """Return sort → value of the references."""
        return {name: value for name, value in self.given if name in REFERENCES}

    def state(self) -> JobState | None:
        """Return the state. Raises InvalidQuery for a word that is none."""
        return _one_of(JobState, "state", self.values.get("state"))

    def region(self) -> Region | None:
        """Return the region. Raises InvalidQuery."""
        return _one_of(Region, "region", self.values.get("region"))

    def served_region(self, served: Sequence[Region]) -> Region | None:
        """Return the region, one of `served`. Raises InvalidQuery."""
        region, known = self.region(), ", ".join(served)
        if region is not None and region not in served:
            raise InvalidQuery(f"region: this gateway serves {known}, and not {region}")
        return region

    def conditions(self) -> JobFilter:
        """Return the conditions beside state, region, configuration and times. Raises InvalidQuery."""
        kind = self.values.get("kind")
        if kind is not None and kind not in JOBS:
            raise _no_such("kind", kind, JOBS)
        verdict = _one_of(Verdict, "verdict", self.values.get("verdict"))
        return JobFilter(
            kind=None if kind is None else Kind(kind),
            verdict=verdict,
            source=self.values.get("source"),
            fields=self.fields,
        )

    def wanted(self, person: PersonAtConsole) -> Wanted:
        """Return which jobs to list. Raises InvalidQuery."""
        state, region = self.state(), self.served_region(person.all_regions)
        regions = person.all_regions if region is None else (region,)
        return Wanted(
            regions=regions,
            away=tuple(one for one in person.away if one in regions),
            skips=True,
            states=OPEN_FIRST if state is None else (state,),
            references=self.references,
            since=given_moment("since", self.values.get("since")),
            until=given_moment("until", self.values.get("until")),
            conditions=self.conditions(),
            configuration=self.values.get("configuration"),
            value=self.value,
            most=LOOKED_AT,
        )

    def url(self, path: str = "/jobs", **more: str) -> str:
        """Return the URL of a page with these conditions, and more parameters."""
        free = [("q", self.value)] if self.value else []
        return path + "?" + urlencode([*self.given, *free, *((name, value) for name, value in more.items() if value)])

    def typed(self, choices: Mapping[str, Sequence[str]]) -> str:
        """Return the conditions as they are typed in the search box, but those that a select can show."""
        rest = [(name, value) for name, value in self.given if value not in choices.get(name, ())]
        found = [f'{name}:"{value}"' if " " in value else f"{name}:{value}" for name, value in rest]
        return " ".join([*found, self.value or ""]).strip()


def _parts(text: str) -> Iterable[tuple[str | None, str]]:
    """Yield qualifier and value; None for a value without one. An unknown qualifier is part of its value."""
    for match in _PARTS.finditer(text):
        name, value = match[1], match[2] if match[2] is not None else match[3]
        if name in NAMES:
            yield name, value
        else:
            yield None, value if name is None else f"{name}:{value}"


def _one_of(kind: type[T], name: str, value: str | None) -> T | None:
    if value is None:
        return None
    if value not in set(kind):
        raise _no_such(name, value, kind)
    return kind(value)


def _no_such(name: str, value: str, known: Iterable[str]) -> InvalidQuery:
    return InvalidQuery(f"There is no {name} “{value}”. Choose one of: {', '.join(known)}.")
