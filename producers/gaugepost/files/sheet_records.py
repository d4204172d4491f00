"""Parts of a workbook are workbooks: written by XlsxWriter, the same bytes for the same rows."""

from __future__ import annotations

import datetime as dt
import io
import json
import tempfile
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from gaugepost.files.limits import missing, refusal
from gaugepost.files.records import Records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

Moment = dt.datetime | dt.date | dt.time | dt.timedelta
Cell = str | float | bool | Moment

_CREATED = dt.datetime(2000, 1, 1)  # noqa: DTZ001 - a fixed date, so that equal rows give equal bytes
_FORMATS = {
    "datetime": "yyyy-mm-dd hh:mm:ss",
    "date": "yyyy-mm-dd",
    "time": "hh:mm:ss",
    "timedelta": "[hh]:mm:ss",
}


class SheetRecords(Records):
    """Rows of a sheet as lines of JSON. Built parts are kept in a file: their size is known only when built."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self._built: dict[tuple[int, int], tuple[int, int]] = {}
        self._shelf = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the records

    def assemble(self, at: int, count: int) -> bytes:
        """Make the workbook of `count` records from `at` on, or fetch it if it was made before."""
        if (at, count) not in self._built:
            content = self.join([self.read(at + n) for n in range(count)])
            start = self._shelf.seek(0, io.SEEK_END)
            self._shelf.write(content)
            self._built[at, count] = start, len(content)
        start, size = self._built[at, count]
        self._shelf.seek(start)
        return self._shelf.read(size)

    def join(self, records: Sequence[bytes]) -> bytes:
        """Write a workbook of these rows."""
        return write_workbook(json.loads(line, object_hook=_revive) for line in (self.head, *records))

    def add_cell(self, records: Sequence[bytes], name: str, cells: Sequence[str]) -> list[bytes]:
        """Give each row one more cell, and the head its name."""
        head = json.loads(self.head)
        self.head = json.dumps([*head, name]).encode()
        rows = zip(map(json.loads, records), cells, strict=True)
        return [json.dumps([*row, *[""] * (len(head) - len(row)), cell]).encode() for row, cell in rows]

    def reach(self, at: int, max_rows: int, max_bytes: int) -> int:
        """Tell how many records from `at` on fit, by trial: how far they pack shows only when they are packed."""
        count = min(max_rows, len(self) - at)
        while count:
            size = len(self.assemble(at, count))
            if size <= max_bytes:
                break
            count = min(count - 1, count * max_bytes * 9 // (size * 10))
        return count or int(len(self.assemble(at, 1)) <= max_bytes)

    def close(self) -> None:
        """Let go of both files."""
        super().close()
        self._shelf.close()


def write_workbook(rows: Iterable[list[Cell]]) -> bytes:
    """Write rows as an XLSX file with one sheet. Numbers keep 16 digits (Excel itself shows 15)."""
    try:
        from xlsxwriter import Workbook  # noqa: PLC0415 - brought by an extra
    except ImportError:
        raise missing("XlsxWriter") from None
    buffer = io.BytesIO()
    book = Workbook(buffer, {"in_memory": True})
    book.set_properties({"created": _CREATED})
    formats = {name: book.add_format({"num_format": pattern}) for name, pattern in _FORMATS.items()}
    sheet = book.add_worksheet()
    for y, row in enumerate(rows):
        for x, cell in enumerate(row):
            _write(sheet, formats, (y, x), cell)
    book.close()
    return buffer.getvalue()


def _write(sheet: Worksheet, formats: dict[str, Format], place: tuple[int, int], cell: Cell) -> None:
    """Write one cell as what it is; the writer's own guesses (formulas, links, numbers) are not asked."""
    if isinstance(cell, str):
        if cell:
            sheet.write_string(*place, cell)
    elif isinstance(cell, bool):
        sheet.write_boolean(*place, cell)
    elif isinstance(cell, float | int):
        sheet.write_number(*place, cell)
    else:
        _write_date(sheet, formats[type(cell).__name__], place, cell)


def _write_date(sheet: Worksheet, pattern: Format, place: tuple[int, int], cell: Moment) -> None:
    try:
        sheet.write_datetime(*place, cast("dt.datetime", cell), pattern)  # it takes each of them
    except (ValueError, OverflowError):
        raise refusal(f"line {place[0] + 1} of a part has a date that a workbook cannot hold") from None


_REVIVERS: dict[str, Callable[[Any], Moment]] = {
    "datetime": dt.datetime.fromisoformat,
    "date": dt.date.fromisoformat,
    "time": dt.time.fromisoformat,
    "timedelta": lambda seconds: dt.timedelta(seconds=seconds),
}


def _revive(tagged: dict[str, Any]) -> Moment:
    ((name, value),) = tagged.items()
    return _REVIVERS[name](value)
