"""The positions of a file's records. Positions instead of rows keep 200 MB of file in a few MB of memory.

All types of files are represented in the same way: an open file (the user's, or a temporary converted copy), and the
start and length of each record in it. A part consists of a head, consecutive records and a tail.
"""

from __future__ import annotations

import os
from array import array
from typing import TYPE_CHECKING, BinaryIO
from xml.sax.saxutils import escape

from gaugepost.files.limits import MAX_RECORDS, refusal

if TYPE_CHECKING:
    from collections.abc import Sequence


class Records:
    """The records of one file, numbered from 0, and the bytes before, between and after them in a part."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.head = b""
        self.between = b""
        self.tail = b""
        self.line_end = b""
        self.delimiter = b""
        """The delimiter between the cells of a CSV record; empty for XML."""
        self._starts = array("Q")
        self._lengths = array("I")

    def __len__(self) -> int:
        return len(self._starts)

    def add(self, start: int, length: int) -> None:
        """Add the position of the next record. Raises InvalidJob after MAX_RECORDS."""
        if len(self._starts) >= MAX_RECORDS:
            raise refusal(f"expected at most {MAX_RECORDS:,} records: more would take weeks to send")
        self._starts.append(start)
        self._lengths.append(length)

    def read(self, at: int) -> bytes:
        """Return the bytes of one record. `pread` is safe when threads share the file."""
        return os.pread(self.file.fileno(), self._lengths[at], self._starts[at])

    def assemble(self, at: int, count: int) -> bytes:
        """Return the content of a part: `count` records from number `at` on."""
        return self.join([self.read(at + n) for n in range(count)])

    def pick(self, at: int) -> bytes:
        """Return one record so that another can follow it: the last line of a file often has no line end."""
        record = self.read(at)
        return record if record.endswith((b"\n", b"\r")) else record + self.line_end

    def join(self, records: Sequence[bytes]) -> bytes:
        """Return the content of a file with these records, which `pick` returned."""
        return self.head + self.between.join(records) + self.tail

    def add_cell(self, records: Sequence[bytes], name: str, cells: Sequence[str]) -> list[bytes]:
        """Return the records, which `pick` returned, with one more cell each; add its name to the head."""
        self.head = self._with_cell(self.head, name) if self.delimiter else self.head
        return [self._with_cell(record, cell, name) for record, cell in zip(records, cells, strict=True)]

    def _with_cell(self, record: bytes, cell: str, name: str = "") -> bytes:
        if self.delimiter:
            line = record.rstrip(b"\r\n")
            return line + self.delimiter + _quoted(cell) + record[len(line) :]
        tag = name.replace(" ", "_").lower()
        element = f"<{tag}>{escape(cell)}</{tag}>".encode()
        open_part, end, _ = record.rpartition(b"</")
        return open_part + element + record[len(open_part) :] if end else record

    def reach(self, at: int, max_rows: int, max_bytes: int) -> int:
        """Return how many records from number `at` on fit into one part; 0 if the first one is too large."""
        size, count = len(self.head) + len(self.tail) - len(self.between), 0
        for length in self._lengths[at : at + max_rows]:
            size += length + len(self.between)
            if size > max_bytes:
                break
            count += 1
        return count

    def close(self) -> None:
        """Close the file; a temporary copy is deleted."""
        self.file.close()


def _quoted(cell: str) -> bytes:
    """Return a cell of CSV in quotes."""
    return ('"' + cell.replace('"', '""') + '"').encode()
