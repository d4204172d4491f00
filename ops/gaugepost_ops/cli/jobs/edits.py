"""`--set` and `--unset` of `replay`: changes that a person makes to a job before it is sent again.

The changed job is checked as a new job is. Messages and the job's history name the changed fields, but never their
values: a value may be personal data. For the same reason a value can come from a file or from stdin, so that it does
not appear in the list of processes or in the shell's history.
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
_FILE = "belongs to the upload, which was checked as a whole: upload the corrected file"
_FIXED = {
    "id": "identifies the job",
    "kind": "defines what the job is: enqueue a new job",
    "region": "defines the account: enqueue a new job for that region",
    "idempotency_key": "identifies the job for its service",
    "source": "says which service enqueued it",
    "upload_id": "says which upload is deleted: enqueue a new job",
    **dict.fromkeys(("family", "filename", "path", "content_base64", "stored"), _FILE),
}
"""The fields that cannot be edited, and the reason, as the end of a sentence."""


def _known() -> list[str]:
    names = {name for model in JOBS.values() for name in model.model_fields}
    return sorted({*names, *_FIXED})


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
    """All changes of one call of `replay`."""

    changes: tuple[Change, ...] = ()
    mappings: Mappings | None = None

    def __bool__(self) -> bool:
        return bool(self.changes)

    @property
    def names(self) -> list[str]:
        """Return the names of the changed fields, as they are on the command line."""
        return [change.name for change in self.changes]

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


def read_edits(sets: Sequence[str], unsets: Sequence[str], mappings: Mappings | None) -> Edits:
    """Read the options `--set` and `--unset`. Raises Failure (exit code 2); its message has no values."""
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
    """Read a field's name and its heading, if any.

    The message about an unknown name does not repeat it: if a person leaves out the name, the value is in its place.
    """
    field, dot, heading = name.partition(".")
    if field in _FIXED:
        raise Failure(Exit.USAGE, f"{option}: {field} cannot be edited: it {_FIXED[field]}")
    if field not in _known() or bool(dot) != (field in _WITH_COLUMNS) or (dot and not heading):
        near = difflib.get_close_matches(field, [*_known(), *_WITH_COLUMNS], n=1)
        hint = f"; did you mean {near[0]}{'.<heading>' if near[0] in _WITH_COLUMNS else ''}?" if near else ""
        raise Failure(Exit.USAGE, f"{option}: expected a field of a job, record.<heading> or fields.<heading>{hint}")
    return field, heading or None


def _value(name: str, value: str) -> str:
    """Return the value, or the text of the file or of stdin, without its last line break."""
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
