"""The values of this package: an inspected upload, the plan of a part, and a part that was sent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Literal, Self

if TYPE_CHECKING:
    from pathlib import Path

    from gaugepost.files.records import Records

FileType = Literal["csv", "xlsx", "xml"]


@dataclass(frozen=True)
class Upload:
    """A checked file. It keeps the file, or its converted copy, open: close it, or use it in a `with` statement.

    `size` and `sha256`: of the user's bytes. `rows`: number of records, without header and blank lines; records are
    numbered from 1. `notes`: remarks for the user.
    """

    path: Path
    filename: str
    type: FileType
    size: int
    sha256: str
    rows: int
    header: tuple[str, ...]
    notes: tuple[str, ...]
    records: Records = field(repr=False, compare=False)
    original: BinaryIO = field(repr=False, compare=False)
    stamp: tuple[int, int] = field(repr=False)
    """Size and time of change at `inspect`: if they change, the positions of the records are wrong."""
    verbatim: bool = field(default=False, repr=False)
    """Whether the user's bytes can be sent unchanged, if they fit into one part."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file and delete temporary copies. A second call does nothing."""
        self.records.close()
        self.original.close()


@dataclass(frozen=True)
class PartPlan:
    """One part of an upload: its number, its unique name, and its first row in the user's file."""

    number: int
    of: int
    name: str
    rows: int
    bytes: int
    first_row: int
    sha256: str
    """Hash of the part's content; its first 10 digits are in the name."""
    whole: bool = False
    """Whether the part is the user's unchanged file."""


@dataclass(frozen=True)
class Part:
    """A part that was sent, to extract its rejected records. `first_row`: as in PartPlan."""

    type: FileType
    content: bytes = field(repr=False)
    first_row: int


@dataclass
class Found:
    """What the reader of a file type reports besides the records."""

    header: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)
    verbatim: bool = False
