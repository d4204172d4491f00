"""Records of a workbook. Each part is a workbook that XlsxWriter writes; equal rows give equal bytes."""

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

_CREATED = dt.datetime(2000, 1, 1)  # noqa: DTZ001 - a fixed date; otherwise equal rows would give different bytes
_FORMATS = {
    "datetime": "yyyy-mm-dd hh:mm:ss",
    "date": "yyyy-mm-dd",
    "time": "hh:mm:ss",
    "timedelta": "[hh]:mm:ss",
}


class SheetRecords(Records):
    """Rows of a sheet as lines of JSON. A temporary file keeps built parts: only a built part shows its size."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self._built: dict[tuple[int, int], tuple[int, int]] = {}
        self._cache = tempfile.TemporaryFile()  # noqa: SIM115 - `close` closes it

    def assemble(self, at: int, count: int) -> bytes:
        """Return the workbook of `count` records from number `at` on; from the cache if it was built before."""
        if (at, count) not in self._built:
            content = self.join([self.read(at + n) for n in range(count)])
            start = self._cache.seek(0, io.SEEK_END)
            self._cache.write(content)
            self._built[at, count] = start, len(content)
        start, size = self._built[at, count]
        self._cache.seek(start)
        return self._cache.read(size)

    def join(self, records: Sequence[bytes]) -> bytes:
        """Return a workbook of these rows."""
        return write_workbook(json.loads(line, object_hook=_revive) for line in (self.head, *records))

    def add_cell(self, records: Sequence[bytes], name: str, cells: Sequence[str]) -> list[bytes]:
        """Return the rows with one more cell each; add its name to the head."""
        head = json.loads(self.head)
        self.head = json.dumps([*head, name]).encode()
        rows = zip(map(json.loads, records), cells, strict=True)
        return [json.dumps([*row, *[""] * (len(head) - len(row)), cell]).encode() for row, cell in rows]

    def reach(self, at: int, max_rows: int, max_bytes: int) -> int:
        """Return how many records from number `at` on fit, by building parts: only a built part shows its size."""
        count = min(max_rows, len(self) - at)
        while count:
            size = len(self.assemble(at, count))
            if size <= max_bytes:
                break
            count = min(count - 1, count * max_bytes * 9 // (size * 10))
        return count or int(len(self.assemble(at, 1)) <= max_bytes)

    def close(self) -> None:
        """Close both files."""
        super().close()
        self._cache.close()


def write_workbook(rows: Iterable[list[Cell]]) -> bytes:
    """Return rows as an XLSX file with one sheet. Numbers keep 16 digits (Excel shows 15)."""
    try:
        from xlsxwriter import Workbook  # noqa: PLC0415 - an extra installs it
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
    """Write one cell by its Python type, so that XlsxWriter does not guess formulas, links or numbers."""
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
        sheet.write_datetime(*place, cast("dt.datetime", cell), pattern)  # accepts all types of Moment
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
