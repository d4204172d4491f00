"""Count the rows of an uploaded file with a real parser.

A count of lines would count a quoted line break as a record, and a splitter with the same fault would pass its tests.
XLS and XLSX need ``python-calamine``. XML with a document type is refused, so that no entity is expanded.
"""

import csv
import io
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import PurePath
from xml.etree.ElementTree import ParseError

MULTILINE_FIELD_LIMIT = 2_000_000


class UnknownTypeError(ValueError):
    """The file name does not end in .csv, .xls, .xlsx or .xml."""


class UnreadableError(ValueError):
    """The content does not match the ending of the file name."""


@dataclass(frozen=True, slots=True)
class Rows:
    """The data rows of a file.

    ``emails``: one for each row, "" for a row without. ``split``: False if the delimiter of a CSV file is wrong.
    """

    emails: tuple[str, ...]
    split: bool = True

    def __len__(self) -> int:
        return len(self.emails)


def read_rows(filename: str, content: bytes, delimiter: str) -> Rows:
    """Return the data rows of a file, without the header of a table.

    Raises :class:`UnknownTypeError` for the ending of the name, and :class:`UnreadableError` for the content.
    """
    reader = _READERS.get(PurePath(filename).suffix.lower())
    if reader is None:
        raise UnknownTypeError(filename)
    return reader(content, delimiter)


def _csv(content: bytes, delimiter: str) -> Rows:
    csv.field_size_limit(MULTILINE_FIELD_LIMIT)
    text = content.decode("utf-8-sig", "replace")
    try:
        return _table(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise UnreadableError(str(error)) from error


def _sheet(content: bytes, _delimiter: str) -> Rows:
    try:
        from python_calamine import CalamineWorkbook  # noqa: PLC0415 - optional: only spreadsheets need it
    except ImportError as error:
        message = "spreadsheets need python-calamine"
        raise UnreadableError(message) from error
    try:
        sheet = CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_index(0)
        return _table([str(cell) for cell in row] for row in sheet.to_python())
    except Exception as error:  # calamine's errors share no base class
        raise UnreadableError(str(error)) from error


def _xml(content: bytes, _delimiter: str) -> Rows:
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        message = "document types are not allowed"
        raise UnreadableError(message)
    try:
        root = ET.fromstring(content)  # noqa: S314 - no document type, hence no entities
    except ParseError as error:
        raise UnreadableError(str(error)) from error
    return Rows(tuple(_email_of(record) for record in root.iter("record")))


def _email_of(record: ET.Element) -> str:
    return next(((child.text or "").strip() for child in record if child.tag.lower() == "email"), "")


def _table(lines: Iterable[list[str]]) -> Rows:
    filled = (line for line in lines if any(cell.strip() for cell in line))
    header = next(filled, [])
    names = [name.strip().lower() for name in header]
    at = names.index("email") if "email" in names else None
    emails = tuple(line[at].strip() if at is not None and at < len(line) else "" for line in filled)
    return Rows(emails, split=len(header) != 1 or not any(sign in header[0] for sign in ";\t|,"))


_READERS: dict[str, Callable[[bytes, str], Rows]] = {".csv": _csv, ".xls": _sheet, ".xlsx": _sheet, ".xml": _xml}
