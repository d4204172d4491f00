"""Read a workbook in a separate process, so that a damaged or hostile workbook cannot stop the caller.

calamine builds a sheet as one dense block: two cells in far corners make a block of 17 billion cells, and a failed
allocation ends the process. This process is limited to 450 MB and a minute. It imports nothing of gaugepost, so that it
starts in 30 ms. The workbook is standard input. Standard output gets a JSON array for each row, the header first, and
at the end an object with the report or the problem.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import os
import re
import sys
import zipfile
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from python_calamine import CalamineSheet

MEMORY = 450_000_000
SECONDS = 60
SPOOL = 1_000_000_000
UNPACKED = 500_000_000
RATIO = 200
SMALL = 10_000_000
LONGEST_CELL = 32_767
NAMED = 5
PASSWORD = "it is protected by a password: expected a workbook that opens without one"  # noqa: S105
DAMAGED = "it cannot be read as a workbook: it is damaged or of another type"

Row = list[Any]


class Refused(Exception):  # noqa: N818
    """The workbook cannot be uploaded; the text says why."""


def main() -> None:
    """Read the workbook on standard input."""
    limit()
    sys.path.append(sys.argv[1])
    out = open(1, "w", encoding="utf-8", newline="\n", closefd=False)  # noqa: SIM115 - open until the process ends
    try:
        with os.fdopen(0, "rb", closefd=False) as file:
            file.seek(0)  # the caller may have read from this descriptor
            report = read(file, lambda row: print(dumps(row), file=out))
    except Refused as reason:
        report = {"problem": str(reason)}
    except MemoryError:
        report = {"problem": too_large()}
    except Exception as error:  # noqa: BLE001 - the library may raise anything for damaged bytes
        report = {"problem": PASSWORD if type(error).__name__ == "PasswordError" else DAMAGED}
    print(json.dumps(report), file=out, flush=True)


def limit() -> None:
    """Limit memory, CPU time and output of this process, if the system can."""
    try:
        import resource  # noqa: PLC0415 - not everywhere

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        resource.setrlimit(resource.RLIMIT_FSIZE, (SPOOL, SPOOL))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    except (ImportError, ValueError, OSError):
        pass


def too_large() -> str:
    """Return the message for a workbook that needs too much memory."""
    return f"it needs more than {MEMORY // 1_000_000} MB of memory to be read: save its first sheet as CSV"


def read(file: IO[bytes], emit: Callable[[Row], None]) -> dict[str, Any]:
    """Pass the rows of the first visible sheet to `emit`, and return a report. Raises Refused."""
    magic = file.read(4)
    odd = _check_zip(file) if magic.startswith(b"PK") else {}
    file.seek(0)
    from python_calamine import CalamineWorkbook  # noqa: PLC0415 - its folder came as an argument

    book = CalamineWorkbook.from_filelike(file)
    index = _first_sheet(book.sheets_metadata)
    names = list(book.sheet_names)
    sheet = book.get_sheet_by_index(index)
    found = _Sheet(emit).read(sheet)
    others = [name for at, name in enumerate(names) if at != index]
    return found | {"sheet": names[index], "others": others} | odd


def _first_sheet(sheets: list[Any]) -> int:
    """Return the index of the first visible sheet with cells; of the first hidden one if there is no other."""
    kinds = [(str(sheet.typ).endswith("WorkSheet"), str(sheet.visible).endswith(".Visible")) for sheet in sheets]
    for wanted in ((True, True), (True, False)):
        if wanted in kinds:
            return kinds.index(wanted)
    raise Refused("it has no sheet with cells")


class _Sheet:
    """The header and the records of a sheet, read in one pass."""

    def __init__(self, emit: Callable[[Row], None]) -> None:
        self._emit = emit
        self._width = 0
        self._count = 0
        self._blank = 0
        self._ragged: list[tuple[int, int]] = []
        self._ragged_count = 0

    def read(self, sheet: CalamineSheet) -> dict[str, Any]:
        """Emit the header and the records; skip rows without a value."""
        left = [""] * (sheet.start[1] if sheet.start else 0)
        leading = 0
        for cells in sheet.iter_rows():
            row = left + cells
            width = _width(row)
            if not width:
                self._blank += 1
            elif not self._width:
                leading, self._blank = self._blank, 0
                self._width = width
                self._emit(row[:width])
            else:
                self._record(row, width)
        ragged = {"ragged": self._ragged, "ragged_count": self._ragged_count, "width": self._width}
        return {"blank": self._blank, "rows": self._count, "leading": leading, **ragged}

    def _record(self, row: Row, width: int) -> None:
        self._count += 1
        if width > self._width:
            self._ragged_count += 1
            if len(self._ragged) < NAMED:
                self._ragged.append((self._count, width))
        if any(isinstance(cell, str) and len(cell) > LONGEST_CELL for cell in row):
            raise Refused(f"row {self._count} has a cell of more than {LONGEST_CELL:,} characters")
        self._emit(row[: self._width])


def _width(row: Row) -> int:
    for at in range(len(row) - 1, -1, -1):
        cell = row[at]
        if cell.strip() if isinstance(cell, str) else cell is not None:
            return at + 1
    return 0


def dumps(row: Row) -> str:
    """Return a row as JSON; dates and times are objects with one key."""
    try:
        return json.dumps(row, default=_tagged, ensure_ascii=False, allow_nan=False)
    except ValueError:
        return json.dumps([_finite(cell) for cell in row], default=_tagged, ensure_ascii=False)


def _finite(cell: object) -> object:
    return str(cell) if isinstance(cell, float) and not math.isfinite(cell) else cell


def _tagged(cell: object) -> object:
    if isinstance(cell, dt.timedelta):
        return {"timedelta": cell.total_seconds()}
    if isinstance(cell, dt.datetime | dt.date | dt.time):
        return {type(cell).__name__: cell.isoformat()}
    return str(cell)


def _check_zip(file: IO[bytes]) -> dict[str, bool]:
    """Refuse zip bombs and other archives. Return whether the first sheet has formulas and errors."""
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        if any(entry.flag_bits & 1 for entry in entries):
            raise Refused(PASSWORD)
        unpacked = sum(entry.file_size for entry in entries)
        packed = sum(entry.compress_size for entry in entries)
        if unpacked > SMALL and unpacked > RATIO * packed:
            raise Refused(f"it unpacks to {unpacked:,} bytes, which is too much for a workbook of its size")
        if unpacked > UNPACKED:
            raise Refused(
                f"it unpacks to {unpacked:,} bytes, expected at most {UNPACKED:,}: save its first sheet as CSV"
            )
        names = {entry.filename for entry in entries}
        if "xl/workbook.xml" not in {name.lower() for name in names}:
            raise Refused("it is a zip archive but no .xlsx workbook")
        return _odd_cells(archive, names)


_CELL = re.compile(
    rb"<c\b(?![^>]*\bt=\"str\")[^>]*>\s*<f\b(?:[^>]*/>|[^>]*>[^<]*</f>)\s*(?:<v>\s*</v>|<v\s*/>)?\s*</c>"
)


_HIDDEN = re.compile(rb"""\bstate=["'](?:very)?hidden["']""", re.IGNORECASE)


def _odd_cells(archive: zipfile.ZipFile, names: set[str]) -> dict[str, bool]:
    """Return whether the first sheet has formulas and errors.

    Raises Refused for a formula that was never calculated: it would be sent as an empty cell.
    """
    path = _path_of_first_sheet(archive, names)
    found = {"formulas": False, "errors": False}
    for piece in _pieces(archive, path) if path else ():
        found["errors"] = found["errors"] or b' t="e"' in piece
        if b"<f" in piece:
            found["formulas"] = True
            if _CELL.search(piece):
                raise Refused("it has formulas without a calculated value: open it in Excel, save it, and try again")
    return found


def _path_of_first_sheet(archive: zipfile.ZipFile, names: set[str]) -> str:
    if not {"xl/workbook.xml", "xl/_rels/workbook.xml.rels"} <= names:
        return ""
    tags = re.findall(rb"<sheet\s[^>]*>", archive.read("xl/workbook.xml"))
    shown = [tag for tag in tags if not _HIDDEN.search(tag)]
    relation = re.search(rb'\br:id="([^"]+)"', (shown or tags or [b""])[0])
    links = re.findall(rb"<Relationship\s[^>]*>", archive.read("xl/_rels/workbook.xml.rels"))
    for link in links:
        target = re.search(rb'\bTarget="([^"]+)"', link)
        if relation and target and b'Id="' + relation[1] + b'"' in link:
            path = target[1].decode("utf-8", "replace").lstrip("/")
            path = path if path.startswith("xl/") else "xl/" + path
            return path if path in names else ""
    return ""


def _pieces(archive: zipfile.ZipFile, path: str) -> Iterator[bytes]:
    """Yield the bytes of an entry in pieces that end after a cell, if possible."""
    with archive.open(path) as entry:
        rest = b""
        while chunk := entry.read(1 << 20):
            whole, end, rest = (rest + chunk).rpartition(b"</c>")
            yield whole + end
            rest = rest[-(1 << 20) :]


if __name__ == "__main__":
    main()
