"""What the file side gives and takes: an upload that was inspected, the plan of its parts, the parts again later."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Literal, Self

if TYPE_CHECKING:
    from pathlib import Path

    from gaugepost.files.records import Records

FileType = Literal["csv", "xlsx", "xml"]


@dataclass(frozen=True)
class Upload:
    """A file that passed the door. It keeps the file (or its converted copy) open: use it as a context manager.

    `size` and `sha256` are of the user's own bytes; `rows` counts records that were really found. Records are
    numbered from 1, without the header and without blank lines.
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
    """Size and time of change when it was opened: offsets are worth nothing in a file that was written to."""
    verbatim: bool = field(default=False, repr=False)
    """The user's own bytes may go out as they are, if they fit into one part."""

    def __enter__(self) -> Self:
        """Nothing happens here; the file is open since `inspect`."""
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file and delete temporary copies; a second call does no harm."""
        self.records.close()
        self.original.close()


@dataclass(frozen=True)
class PartPlan:
    """One part of an upload: its place, its unique name, and where it begins in the user's file."""

    number: int
    of: int
    name: str
    rows: int
    bytes: int
    first_row: int
    sha256: str
    """Of the part's content; the name has its first 10 digits."""
    whole: bool = False
    """The part is the user's file as it is."""


@dataclass(frozen=True)
class Part:
    """A part as it was sent, from which rejected records are taken out."""

    type: FileType
    content: bytes = field(repr=False)
    first_row: int


@dataclass
class Found:
    """What reading a file found, besides its records; filled by the reader of its type."""

    header: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)
    verbatim: bool = False
