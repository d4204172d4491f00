"""`--set` and `--unset` of `replay`: what a person changes in a job before it goes out again.

The edited job is checked as at the door. Fields are named in messages and on the record, values never. A value may be
somebody's data, which has no business in a list of processes or a shell's history: so it can come from a file or stdin.
"""

from __future__ import annotations

import difflib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gaugepost.errors import DataSealed, InvalidJob, Problem
from gaugepost.jobs import JOBS, parse_job_json
from gaugepost.ledger import Edit
from gaugepost_ops.cli.common import Exit, Failure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gaugepost.jobs import JobBase
    from gaugepost.ledger import JobView
    from gaugepost.mappings import Mappings

_MAX_VALUE = 1_000_000
_WITH_COLUMNS = ("record", "fields")
_FILE = "is part of its upload, which was checked as a whole: upload the mended file"
_FIXED = {
    "id": "is the job's name",
    "kind": "makes it another job: enqueue that one",
    "region": "is where the account lives: enqueue it there",
    "idempotency_key": "is how its service knows it",
    "source": "tells who enqueued it",
    "upload_id": "is what it destroys: enqueue another one",
    **dict.fromkeys(("family", "filename", "path", "content_base64", "stored"), _FILE),
}
"""What may not be edited, and why."""


def _known() -> list[str]:
    names = {name for model in JOBS.values() for name in model.model_fields}
    return sorted({*names, *_FIXED})


@dataclass(frozen=True, slots=True)
class Change:
    """One field and its new value; None takes it away. `heading` is the cell's, in `record` or `fields`."""

    field: str
    heading: str | None
    value: str | None

    @property
    def name(self) -> str:
        """Return the field's name as on the command line."""
        return self.field if self.heading is None else f"{self.field}.{self.heading}"

    def apply(self, data: dict[str, Any]) -> None:
        """Change a job's JSON. Raises InvalidJob for a cell that only looks like one the job has."""
        if self.heading is None:
            _put(data, self.field, self._split())
            return
        columns = data.setdefault(self.field, {})
        if self.heading not in columns:
            self._check_spelling(columns)
        _put(columns, self.heading, self.value)

    def _split(self) -> str | list[str] | None:
        """Take a list apart: `--set labels=a,b`."""
        if self.value is None or self.field not in {"labels", "reason_codes"}:
            return self.value
        return [part.strip() for part in self.value.split(",")]

    def _check_spelling(self, columns: Mapping[str, Any]) -> None:
        """Headings are case-sensitive at CustomerGauge: one that differs in case only would be dropped there."""
        for heading in columns:
            if heading.lower() == str(self.heading).lower():
                raise InvalidJob([Problem(self.name, f"the job has {self.field}.{heading}")])


def _put(data: dict[str, Any], name: str, value: object) -> None:
    if value is None:
        data.pop(name, None)
    else:
        data[name] = value


@dataclass(frozen=True, slots=True)
class Edits:
    """All changes of one call."""

    changes: tuple[Change, ...] = ()
    mappings: Mappings | None = None

    def __bool__(self) -> bool:
        """Tell whether there is anything to change."""
        return bool(self.changes)

    def of(self, view: JobView) -> Edit:
        """Return a job with its changes, checked as at the door. Raises InvalidJob, DataSealed."""
        if view.sealed:
            raise DataSealed(view.sealed)
        data = json.loads(json.dumps(view.job))
        for change in self.changes:
            change.apply(data)
        job: JobBase = parse_job_json(json.dumps(data))
        if self.mappings is not None:
            job, _ = self.mappings.check(job)
        return Edit(job, view.revision, tuple(change.name for change in self.changes))


def read_edits(sets: Sequence[str], unsets: Sequence[str], mappings: Mappings | None) -> Edits:
    """Read the options. Raises Failure (exit code 2), in which no value is told."""
    changes = [*_set_changes(sets), *(Change(*_field("--unset", name), None) for name in unsets)]
    names = [change.name for change in changes]
    for name in names:
        if names.count(name) > 1:
            raise Failure(Exit.USAGE, f"{name}: is given more than once")
    return Edits(tuple(changes), mappings)


def _set_changes(sets: Sequence[str]) -> Iterator[Change]:
    stdin_used = False
    for text in sets:
        name, equals, value = text.partition("=")
        if not equals:
            raise Failure(Exit.USAGE, "--set: expected field=value, field=@FILE or field=-")
        field, heading = _field("--set", name)
        if value == "-" and stdin_used:
            raise Failure(Exit.USAGE, "--set: stdin can give one value only")
        stdin_used |= value == "-"
        yield Change(field, heading, _value(name, value))


def _field(option: str, name: str) -> tuple[str, str | None]:
    """Read a field's name. An unknown one is not repeated: who forgets the name gives the value in its name."""
    field, dot, heading = name.partition(".")
    if field in _FIXED:
        raise Failure(Exit.USAGE, f"{option}: {field} cannot be edited: it {_FIXED[field]}")
    if field not in _known() or bool(dot) != (field in _WITH_COLUMNS) or (dot and not heading):
        near = difflib.get_close_matches(field, [*_known(), *_WITH_COLUMNS], n=1)
        hint = f"; did you mean {near[0]}{'.<heading>' if near[0] in _WITH_COLUMNS else ''}?" if near else ""
        raise Failure(Exit.USAGE, f"{option}: expected a field of a job, record.<heading> or fields.<heading>{hint}")
    return field, heading or None


def _value(name: str, value: str) -> str:
    """Return the value itself, or what the file or stdin holds, without its last line end."""
    if value == "-":
        text = sys.stdin.read(_MAX_VALUE + 1)
    elif value.startswith("@"):
        text = _read(name, Path(value[1:]))
    else:
        return value
    if len(text) > _MAX_VALUE:
        raise Failure(Exit.USAGE, f"--set {name}: expected at most {_MAX_VALUE:,} characters")
    return text.removesuffix("\n").removesuffix("\r")


def _read(name: str, path: Path) -> str:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return file.read(_MAX_VALUE + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(Exit.USAGE, f"--set {name}: {path} cannot be read ({type(error).__name__})") from None
