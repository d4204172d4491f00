"""Read the options `--set` and `--unset` of `replay`; `gaugepost.ledger.edits` has what they do.

A value can come from a file or from stdin, so that personal data does not appear in the list of processes or in the
shell's history.
"""

from __future__ import annotations

import difflib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from gaugepost.jobs import JOBS
from gaugepost.ledger.edits import Change, Edits
from gaugepost_ops.cli.common import Exit, Failure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gaugepost.mappings import Mappings

_MAX_VALUE = 1_000_000
_WITH_COLUMNS = ("record", "fields")
_FILE = "belongs to the upload, which was checked as a whole: upload the corrected file"
_FIXED = {
    "id": "identifies the job",
    "kind": "defines what the job is: enqueue a new job",
    "region": "defines the account: enqueue a new job for that region",
    "idempotency_key": "identifies the job for its service",
    "batch": "says with which jobs it was enqueued",
    "source": "says which service enqueued it",
    "upload_id": "says which upload is deleted: enqueue a new job",
    **dict.fromkeys(("family", "filename", "path", "content_base64", "stored"), _FILE),
}
"""The fields that cannot be edited, and the reason, as the end of a sentence."""


def _known() -> list[str]:
    names = {name for model in JOBS.values() for name in model.model_fields}
    return sorted({*names, *_FIXED})


def read_edits(sets: Sequence[str], unsets: Sequence[str], mappings: Mappings | None) -> Edits:
    """Read the options `--set` and `--unset`. Raises Failure (exit code 2); its message has no values."""
    changes = [*_set_changes(sets), *(Change(*_field("--unset", name), None) for name in unsets)]
    return _checked(changes, mappings)


def edits_of(changes: Mapping[str, str | None], mappings: Mappings | None) -> Edits:
    """Return the edits for fields and their new values; None removes a field. Raises Failure, as `read_edits` does."""
    return _checked([Change(*_field("set", name), value) for name, value in changes.items()], mappings)


def _checked(changes: Sequence[Change], mappings: Mappings | None) -> Edits:
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
