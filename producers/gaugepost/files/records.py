"""Where each record of a file lies: offsets instead of rows, so that 200 MB of file cost a few MB of memory.

All three types are held the same way: a readable file (the user's own, or a temporary one where it had to be
converted) with the start and the length of every record in it. A part is then a head, a run of records, a tail.
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
    """The records of one file, numbered from 0, with what stands before, between and after them in a part."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.head = b""
        self.between = b""
        self.tail = b""
        self.line_end = b""
        self.delimiter = b""
        """What parts the cells of a record; nothing where they are elements of XML."""
        self._starts = array("Q")
        self._lengths = array("I")

    def __len__(self) -> int:
        """Count the records."""
        return len(self._starts)

    def add(self, start: int, length: int) -> None:
        """Note the next record. Raises InvalidJob when there are more than anybody could send."""
        if len(self._starts) >= MAX_RECORDS:
            raise refusal(f"expected at most {MAX_RECORDS:,} records: more would take weeks to send")
        self._starts.append(start)
        self._lengths.append(length)

    def read(self, at: int) -> bytes:
        """Read one record as it stands in the file (`pread`: no position is shared between threads)."""
        return os.pread(self.file.fileno(), self._lengths[at], self._starts[at])

    def assemble(self, at: int, count: int) -> bytes:
        """Make the content of the part that has `count` records from `at` on."""
        return self.join([self.read(at + n) for n in range(count)])

    def pick(self, at: int) -> bytes:
        """Read one record so that another may follow it: the last line of a file often has no end."""
        record = self.read(at)
        return record if record.endswith((b"\n", b"\r")) else record + self.line_end

    def join(self, records: Sequence[bytes]) -> bytes:
        """Make a file of records that `pick` gave."""
        return self.head + self.between.join(records) + self.tail

    def add_cell(self, records: Sequence[bytes], name: str, cells: Sequence[str]) -> list[bytes]:
        """Give each record, as `pick` read it, one more cell, and the head its name."""
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
        """Tell how many records from `at` on fit into one part; 0 if not even one does."""
        size, count = len(self.head) + len(self.tail) - len(self.between), 0
        for length in self._lengths[at : at + max_rows]:
            size += length + len(self.between)
            if size > max_bytes:
                break
            count += 1
        return count

    def close(self) -> None:
        """Close the file, and free a temporary one's space."""
        self.file.close()


def _quoted(cell: str) -> bytes:
    """Write a cell of CSV, quoted whatever is in it."""
    return ('"' + cell.replace('"', '""') + '"').encode()
