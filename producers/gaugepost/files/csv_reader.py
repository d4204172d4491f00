"""CSV: find the records of a file, and their positions in bytes.

The standard library's reader parses the text. `_Lines` counts the bytes of the lines that it reads, so the position
after each record is known. Records are sent as the original bytes.
"""

from __future__ import annotations

import csv
import io
import itertools
import os
from collections import Counter
from typing import TYPE_CHECKING, BinaryIO

from gaugepost.files.limits import MAX_RECORDS, PART_BYTES, refusal
from gaugepost.files.records import Records
from gaugepost.files.text import as_utf8

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gaugepost.errors import InvalidJob
    from gaugepost.files.text import Text
    from gaugepost.files.upload import Found

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_SAMPLE = 1 << 16
_SAMPLE_ROWS = 50
_NAMED = 5


def read_csv(file: BinaryIO, found: Found) -> Records:
    """Find the records of a CSV file.

    Raises InvalidJob for a binary file or unknown encoding, unclosed quotes, rows whose number of columns differs from
    the header's, a record that is too large for an upload, and a file without rows.
    """
    text = as_utf8(file)
    try:
        return _index(text, found)
    except BaseException:
        if text.converted:
            text.file.close()
        raise


def _index(text: Text, found: Found) -> Records:
    delimiter = _delimiter(text)
    if text.note:
        found.notes.append(text.note)
    if delimiter != ",":
        spoken = _DELIMITERS[delimiter]
        found.notes.append(f"columns are separated by {spoken}; CustomerGauge expects commas unless agreed otherwise")
    table = _Table(text.file)
    table.scan(text.start, delimiter)
    found.header = table.header
    table.records.delimiter = delimiter.encode()
    found.notes += table.notes()
    return table.records


class _Lines:
    """The lines of a text, and the position in bytes after each. Raises _TooLongError for a record over PART_BYTES."""

    def __init__(self, text: io.TextIOWrapper, start: int) -> None:
        self._text = text
        self.at = start
        self.record_at = start

    def __iter__(self) -> Iterator[str]:
        readline = self._text.readline
        while line := readline(PART_BYTES + 2):
            self.at += len(line) if line.isascii() else len(line.encode())
            if self.at - self.record_at > PART_BYTES:
                raise _TooLongError
            yield line


class _TooLongError(Exception):
    """A record is larger than an upload may be."""


class _Table:
    """The header and the records of a CSV file, read in one pass."""

    def __init__(self, file: BinaryIO) -> None:
        self.records = Records(file)
        self.header: tuple[str, ...] = ()
        self._blank = 0
        self._ragged: list[tuple[int, int]] = []
        self._ragged_count = 0

    def scan(self, start: int, delimiter: str) -> None:
        """Read the whole file. `start`: position of its text. Raises InvalidJob."""
        # Python's limit for a field is global and smaller than a legal record; this code only increases it.
        csv.field_size_limit(max(csv.field_size_limit(), PART_BYTES + 2))
        self.records.file.seek(start)
        text = io.TextIOWrapper(self.records.file, "utf-8", newline="")
        try:
            self._rows(_Lines(text, start), delimiter)
        except _TooLongError:
            perhaps = "perhaps a quote in it is not closed"
            raise refusal(f"{self._here()} has over {PART_BYTES:,} bytes; {perhaps}") from None
        except csv.Error as error:
            raise self._broken(error) from None
        finally:
            text.detach()
        self._check()

    def _rows(self, lines: _Lines, delimiter: str) -> None:
        for row in csv.reader(lines, delimiter=delimiter, strict=True):
            begin, lines.record_at = lines.record_at, lines.at
            if not any(map(str.strip, row)):
                self._skip_blank()
            elif not self.header:
                self.header = tuple(row)
                self._take_header(begin, lines.at - begin)
            else:
                self.records.add(begin, lines.at - begin)
                if len(row) != len(self.header):
                    self._note_ragged(len(row))

    def _skip_blank(self) -> None:
        self._blank += 1
        if self._blank > MAX_RECORDS:
            raise refusal(f"it has more than {MAX_RECORDS:,} blank lines: save it without them")

    def _take_header(self, start: int, length: int) -> None:
        head = os.pread(self.records.file.fileno(), length, start)
        self.records.head = head
        self.records.line_end = head[len(head.rstrip(b"\r\n")) :]

    def _note_ragged(self, width: int) -> None:
        self._ragged_count += 1
        if len(self._ragged) < _NAMED:
            self._ragged.append((len(self.records), width))

    def _here(self) -> str:
        return f"row {len(self.records) + 1}" if self.header else "the header"

    def _broken(self, error: csv.Error) -> InvalidJob:
        if "unexpected end" in str(error):
            return refusal(f"{self._here()}: a quote is opened and never closed")
        return refusal(f"{self._here()}: cannot be read as CSV; a quote inside a quoted value must be doubled")

    def _check(self) -> None:
        if not self.header:
            raise refusal("the file is empty: expected a header and at least one row")
        if not any(letter.isalnum() for name in self.header for letter in name):
            raise refusal("expected the names of the columns in the first row")
        if not len(self.records):
            raise refusal("the file has a header and no row")
        if self._ragged:
            raise ragged_refusal(len(self.header), self._ragged, self._ragged_count)

    def notes(self) -> list[str]:
        """Return remarks for the user."""
        return header_notes(self.header, self._blank)


def ragged_refusal(width: int, ragged: list[tuple[int, int]], count: int) -> InvalidJob:
    """Return the error for rows whose number of columns differs from the header's; it names the first rows."""
    named = ", ".join(f"row {row} has {columns}" for row, columns in ragged)
    others = f" (and {count - len(ragged):,} more)" if count > len(ragged) else ""
    return refusal(f"expected {width} columns in each row as in the header; {named}{others}")


def header_notes(header: tuple[str, ...], blank: int) -> list[str]:
    """Return remarks about a header, and about skipped lines. They do not quote names that may be data."""
    notes = []
    if any("@" in name for name in header):
        notes.append("the first row has an email address: it is used as the header and is not sent as a record")
    names = Counter(name.strip() for name in header)
    twice = [name for name, count in names.items() if count > 1 and name and "@" not in name]
    if twice:
        named = ", ".join(f"'{name[:40]}'" for name in twice[:_NAMED])
        notes.append(f"columns that are twice in the header: {named}")

    if names[""]:
        notes.append(f"{names['']} column{'s have' if names[''] > 1 else ' has'} no name in the header")
    if blank:
        notes.append(f"{blank:,} blank line{'s' if blank > 1 else ''} skipped")
    return notes


def _delimiter(text: Text) -> str:
    """Return the delimiter by which most of the first rows have as many columns as the header; by default a comma."""
    text.file.seek(text.start)
    sample = text.file.read(_SAMPLE)
    lines = io.StringIO(sample.decode("utf-8", "ignore"), newline="").readlines()
    lines = list(itertools.dropwhile(_is_blank, lines))  # the parts do not contain them, and are read by this too
    scores = {sign: _agreement(lines, sign, cut=len(sample) == _SAMPLE) for sign in _DELIMITERS}
    best = max(scores, key=lambda sign: scores[sign])  # of equal scores the first one in _DELIMITERS
    return best if scores[best] > (0, 0) else ","


def _is_blank(line: str) -> bool:
    """Return whether a line has no value by one of the delimiters."""
    return any(not any(map(str.strip, row)) for sign in _DELIMITERS for row in _read_line(line, sign))


def _read_line(line: str, delimiter: str) -> list[list[str]]:
    try:
        return list(csv.reader([line], delimiter=delimiter, strict=True))
    except csv.Error:
        return []


def _agreement(lines: list[str], delimiter: str, *, cut: bool) -> tuple[float, int]:
    widths: list[int] = []
    broken = False
    try:
        for row in csv.reader(lines, delimiter=delimiter, strict=True):
            if any(map(str.strip, row)):
                widths.append(len(row))
            if len(widths) > _SAMPLE_ROWS:
                break
        else:
            widths = widths[:-1] if cut else widths
    except csv.Error:
        broken = not cut
    if len(widths) < 1 or widths[0] == 1:
        return (0, 0)
    agreed = sum(width == widths[0] for width in widths) / len(widths)
    return (agreed / 2 if broken else agreed, widths[0])
