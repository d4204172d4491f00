"""Read mappings.toml: aliases of the account's inbound mappings, their types and their fields.

CustomerGauge drops fields that a mapping does not have, and still answers 200. Therefore the producer compares each
record with its mapping before it stores the job. The ledger stores references, no aliases: workers need no
mappings.toml.
"""

from __future__ import annotations

import difflib
import tomllib
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, StrictBool, TypeAdapter, ValidationError, model_validator

from gaugepost.errors import InvalidJob, Problem, SettingsError
from gaugepost.jobs import PersonalLink, Record
from gaugepost.jobs.field_types import Configuration
from gaugepost.jobs.refusal import refusal
from gaugepost.regions import Region
from gaugepost.settings import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import Self

    from gaugepost.jobs import JobBase
    from gaugepost.settings import Settings

SETTING = f"{PREFIX}MAPPINGS"
_MAX_NAMES, _MAX_NAME_LENGTH, _MAX_PROBLEMS = 5, 60, 10
_CACHED = 1_000

DataType = Literal["Account", "Contact", "Multi-Object", "Survey", "External Response", "Account Alias"]
_MAKES_LINKS = frozenset({"Multi-Object", "Survey"})

_TYPE = BeforeValidator(lambda name: "Survey" if name == "Survey Data" else name)  # messages of the API use both names
_Names = tuple[Annotated[str, Field(min_length=1, max_length=255)], ...]
_REFERENCE: TypeAdapter[str] = TypeAdapter(Configuration)


class InboundMapping(BaseModel, frozen=True, extra="forbid", hide_input_in_errors=True):
    """One table of mappings.toml. Without `fields`, any field is accepted."""

    configuration: dict[Region, Configuration]
    type: Annotated[DataType, _TYPE] | None = None
    fields: _Names | None = None
    required: _Names = ()
    strict: StrictBool = False

    @model_validator(mode="before")
    @classmethod
    def _one_reference_a_region(cls, table: object) -> object:
        """Accept `configuration = "…"` with `region`, or `configuration = { eu = "…", us = "…" }`."""
        if not isinstance(table, dict):
            raise ValueError('expected a table: [alias], and below it configuration = "…"')  # noqa: TRY004 - pydantic's way
        rest = {name: value for name, value in table.items() if name != "region"}
        if "configuration" in table:
            rest["configuration"] = _by_region(table["configuration"], table.get("region"))
        return rest

    @model_validator(mode="after")
    def _check_combinations(self) -> Self:
        for name in ("fields", "required"):
            if twice := [field for field, number in Counter(getattr(self, name) or ()).items() if number > 1]:
                raise ValueError(f"{name}: more than once: {_listed(twice)}")
        if self.fields is not None and (more := [field for field in self.required if field not in self.fields]):
            raise ValueError(f"required: not among fields: {_listed(more)}")
        if self.strict and self.fields is None and not self.required:
            raise ValueError("strict: expected fields or required too; without them nothing is refused")
        return self


def _by_region(configuration: object, region: object) -> object:
    if isinstance(configuration, dict):
        if region is not None:
            raise ValueError("region: expected no region, because configuration names the regions")
        return configuration
    if not isinstance(configuration, str):
        raise ValueError('configuration: expected "…", or { eu = "…", us = "…" }')  # noqa: TRY004 - pydantic's way
    regions = region if isinstance(region, list) else [region]
    if not regions or any(one not in tuple(Region) for one in regions):
        raise ValueError(f"region: expected one of {', '.join(Region)}, or a list of them")
    return dict.fromkeys(regions, configuration)


def _listed(names: Iterable[str]) -> str:
    """Return the first names, quoted and shortened, and the number of the others."""
    found = list(names)
    first = ", ".join(f'"{_cut(name)}"' for name in found[:_MAX_NAMES])
    return first + (f" and {len(found) - _MAX_NAMES:,} more" if len(found) > _MAX_NAMES else "")


def _cut(name: str) -> str:
    return name if len(name) <= _MAX_NAME_LENGTH else name[: _MAX_NAME_LENGTH - 1] + "…"


class RegionMapping:
    """One inbound mapping in one region: alias, reference and fields."""

    def __init__(self, alias: str, region: Region, table: InboundMapping) -> None:
        self.alias = alias
        self.region = region
        self.reference = table.configuration[region]
        self.table = table
        self._fields = None if table.fields is None else frozenset(table.fields)
        self._by_letters = {_letters(field): field for field in table.fields or ()}
        self.near = lru_cache(_CACHED)(self._near)

    def _near(self, name: str) -> str | None:
        """Return the field that `name` probably means: equal except for case and spaces, or similar; else None."""
        letters = _letters(name)
        similar = difflib.get_close_matches(letters, self._by_letters, n=1, cutoff=0.8)
        return self._by_letters.get(letters) or (self._by_letters[similar[0]] if similar else None)

    def unmapped(self, names: Iterable[str]) -> list[str]:
        """Return the names that the mapping does not have. Names are case-sensitive, as at CustomerGauge."""
        fields = self._fields
        return [] if fields is None else [name for name in names if name not in fields]

    def refuse_kind(self, kind: str) -> None:
        """Raise InvalidJob if jobs of this kind cannot use a mapping of this type."""
        if kind == "personal_link" and self.table.type not in {None, *_MAKES_LINKS}:
            expected = f"expected a mapping of type {' or '.join(sorted(_MAKES_LINKS))}"
            raise InvalidJob([Problem("configuration", f"{expected}; {self.alias} is of type {self.table.type}")])

    def problems(self, record: dict[str, Any]) -> list[Problem]:
        """Return the fields of a record that are unknown or missing: a bounded number of names, no values."""
        found = []
        if unmapped := self.unmapped(record):
            fields = _listed(unmapped) + self._hint(unmapped)
            found.append(Problem("record", f"not mapped by {self.alias}, so CustomerGauge drops it: {fields}"))
        if missing := [name for name in self.table.required if _is_empty(record.get(name))]:
            found.append(Problem("record", f"required by {self.alias}, and missing or empty: {_listed(missing)}"))
        return found

    def _hint(self, names: Iterable[str]) -> str:
        near = [field for name in list(names)[:_MAX_NAMES] if (field := self.near(name))]
        return f" (did you mean {_listed(dict.fromkeys(near))}?)" if near else ""


def _letters(name: str) -> str:
    return "".join(name.casefold().split())


def _is_empty(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


class Mappings:
    """All mappings of a mappings.toml. An alias has one reference in each of its regions."""

    def __init__(self, tables: dict[str, InboundMapping]) -> None:
        self.tables = tables
        found = [
            RegionMapping(alias, region, table) for alias, table in tables.items() for region in table.configuration
        ]
        self._known = {(one.region, one.reference): one for one in found}
        self._alias_warnings = lru_cache(_CACHED)(self._find_alias_warnings)

    @classmethod
    def of(cls, settings: Settings) -> Mappings | None:
        """Read the file that GAUGEPOST_MAPPINGS names; return None without that setting. Raises SettingsError."""
        return None if settings.mappings is None else cls(read_tables(settings.mappings))

    def __iter__(self) -> Iterator[RegionMapping]:
        """Iterate over the mappings of all regions, in the order of the file."""
        return iter(self._known.values())

    def known(self, reference: str, region: Region) -> RegionMapping | None:
        """Return the mapping with this reference in a region; None if the file does not have it."""
        return self._known.get((region, reference))

    def alias(self, reference: str, region: Region) -> str | None:
        """Return the alias of a reference in a region; None if the file does not have it."""
        known = self.known(reference, region)
        return known.alias if known else None

    def resolve(self, configuration: str, region: Region) -> str:
        """Return the reference of an alias in a region. A name that is no alias is taken as a reference.

        Raises InvalidJob for an alias of other regions.
        """
        table = self.tables.get(configuration)
        if table is None or (region, configuration) in self._known:
            return configuration
        if region not in table.configuration:
            has = ", ".join(table.configuration)
            raise InvalidJob([Problem("configuration", f"expected a mapping of {region}; {configuration} is of {has}")])
        return table.configuration[region]

    def check(self, job: JobBase) -> tuple[JobBase, tuple[str, ...]]:
        """Replace an alias by its reference, and compare the record with the mapping. Return the job and warnings.

        Raises InvalidJob for an alias of other regions, and for a mapping type that the kind cannot use. For a strict
        mapping it raises InvalidJob instead of returning warnings.
        """
        if not isinstance(job, Record | PersonalLink):
            return job, ()
        reference = self.resolve(job.configuration, job.region)
        known = self.known(reference, job.region)
        if reference != job.configuration:
            job = job.model_copy(update={"configuration": reference})
        if known is None:
            return job, self._alias_warnings(reference)
        known.refuse_kind(job.kind)
        problems = known.problems(job.record)
        if problems and known.table.strict:
            raise InvalidJob(problems)
        return job, tuple(map(str, problems))

    def _find_alias_warnings(self, reference: str) -> tuple[str, ...]:
        """Return a warning if an unknown reference is similar to an alias."""
        near = difflib.get_close_matches(reference, self.tables, n=1, cutoff=0.8)
        return (f"configuration: no alias, so taken as a reference; did you mean {near[0]}?",) if near else ()


def read_tables(path: Path) -> dict[str, InboundMapping]:
    """Read a mappings.toml into alias → mapping. Raises SettingsError, which names file, table and key."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise SettingsError(f"{SETTING}: {path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{SETTING}: {path}: expected UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{SETTING}: {path}: expected TOML: {error}") from None
    found: dict[str, InboundMapping] = {}
    problems = [problem for alias, table in tables.items() for problem in _read_table(alias, table, found)]
    problems += _clashes(found)
    if problems:
        shown = problems[:_MAX_PROBLEMS]
        shown += [f"and {len(problems) - _MAX_PROBLEMS:,} more"] if len(problems) > _MAX_PROBLEMS else []
        raise SettingsError(f"{SETTING}: {path}: " + "; ".join(shown))
    return found


_KEYS = ("configuration", "region", *(name for name in InboundMapping.model_fields if name != "configuration"))


def _read_table(alias: str, table: object, found: dict[str, InboundMapping]) -> list[str]:
    """Add one table to `found`, and return its problems."""
    try:
        _REFERENCE.validate_python(alias)
        found[alias] = InboundMapping.model_validate(table)
    except ValidationError as error:
        if error.title != InboundMapping.__name__:
            return [f"[{_cut(alias)}]: expected an alias of at most 128 characters without spaces and brackets"]
        return [f"[{alias}] {problem}" for problem in refusal(error, _KEYS).problems]
    return []


def _clashes(tables: dict[str, InboundMapping]) -> list[str]:
    """Return the problems of references and aliases that are used twice."""
    owners: dict[tuple[Region, str], str] = {}
    found = []
    for alias, table in tables.items():
        for region, reference in table.configuration.items():
            first = owners.setdefault((region, reference), alias)
            if first != alias:
                found.append(f"[{alias}] configuration: [{first}] has this reference in {region} already")
    for (region, reference), owner in owners.items():
        if reference in tables and reference != owner:
            found.append(f"[{reference}]: as an alias it is ambiguous: [{owner}] has it as its reference in {region}")
    return found
