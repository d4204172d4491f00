"""Make files for tests: good ones of each type, and hostile ones that must be refused with a clear text."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any, Protocol

from python_calamine import CalamineWorkbook

from gaugepost.files.sheet_records import write_workbook

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from gaugepost.files import Upload


class Save(Protocol):
    """Write a file of this name and content."""

    def __call__(self, name: str, content: bytes) -> Path: ...


class Inspect(Protocol):
    """Write a file and inspect it; it is closed when the test ends."""

    def __call__(self, name: str, content: bytes) -> Upload: ...


GOOD_CSV = b"Email,Score\r\njoe@example.com,9\r\nlee@example.net,10\r\n"


def workbook(*rows: list[Any]) -> bytes:
    """A workbook with these rows."""
    return write_workbook(rows)


def grid(content: bytes) -> list[list[Any]]:
    """The cells of a workbook, as another reader sees them."""
    return CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_index(0).to_python(skip_empty_area=False)


def xml(records: Iterable[str], head: str = '<?xml version="1.0" encoding="UTF-8"?>') -> bytes:
    """Records in the documented structure."""
    return (head + "<records>" + "".join(f"<record>{record}</record>" for record in records) + "</records>").encode()


def zipped(entries: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def unpacking_far(name: str, size: int) -> bytes:
    """An archive with one entry that unpacks to `size` bytes; made without holding them."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(name, "w") as entry:
        for _ in range(size // 1_000_000):
            entry.write(bytes(1_000_000))
    return buffer.getvalue()


def altered(content: bytes, changes: dict[str, bytes]) -> bytes:
    """A workbook with some of its entries replaced."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return zipped({name: archive.read(name) for name in archive.namelist()} | changes)


def sheet(cells: str) -> bytes:
    """A workbook whose first sheet has this XML for its rows."""
    space = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    content = f'<?xml version="1.0"?><worksheet xmlns="{space}"><sheetData>{cells}</sheetData></worksheet>'
    return altered(workbook(["Email"], ["joe"]), {"xl/worksheets/sheet1.xml": content.encode()})


def _text(place: str, value: str) -> str:
    return f'<c r="{place}" t="inlineStr"><is><t>{value}</t></is></c>'


HEADED = f'<row r="1">{_text("A1", "Email")}{_text("B1", "Score")}</row>'
BOMB = b"".join(
    [
        b'<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol">',
        *(b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9)),
        b"]><records><record><Email>&j;</Email></record></records>",
    ]
)
GOOD_XLSX = workbook(["Email", "Score"], ["joe@example.com", 9])

# file name -> (content, a word that the refusal must have)
NASTY: dict[str, tuple[bytes, str]] = {
    "empty.csv": (b"", "empty"),
    "blank.csv": (b" \r\n\n\t\n", "only blank"),
    "bom-only.csv": (b"\xef\xbb\xbf", "empty"),
    "header-only.csv": (b"Email,Score\r\n", "header and no row"),
    "header-and-blanks.csv": (b"Email,Score\r\n\r\n,\r\n", "header and no row"),
    "ragged.csv": (b"a,b,c\n1,2,3\n1,2\n1,2,3\n1,2,3,4\n", "row 2 has 2, row 4 has 4"),
    "very-ragged.csv": (b"a,b\n" + b"1\n" * 100, "and 95 more"),
    "nul.csv": (b"a,b\n1,\x002\n", "NUL"),
    "open-quote.csv": (b'a,b\n1,2\n3,"4\n5,6\n', "row 2: a quote is opened and never closed"),
    "open-quote-in-header.csv": (b'a,"b\n1,2\n', "the header: a quote is opened"),
    "quote-inside.csv": (b'a,b\n1,"2"3"\n', "must be doubled"),
    "huge-field.csv": (b'a,b\n1,2\n1,"' + b"x" * 2_100_000 + b'"\n', "row 2 has over 2,000,000 bytes"),
    "swallowed.csv": (b'a,b\n1,"2\n' + b"3,4\n" * 600_000, "row 1 has over 2,000,000 bytes; perhaps a quote"),
    "one-line.csv": (b"x" * 3_000_000, "the header has over"),
    "zip.csv": (zipped({"a.csv": GOOD_CSV}), "zip"),
    "workbook.csv": (GOOD_XLSX, ".xlsx"),
    "page.csv": (b"\n<!DOCTYPE html><html><body>Sign in</body></html>", "HTML"),
    "some.csv": (b"<records><record/></records>", "XML"),
    "json.csv": (b'{"data": []}', "JSON"),
    "picture.csv": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "picture"),
    "pdf.csv": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3", "PDF"),
    "gzip.csv": (b"\x1f\x8b\x08\x00abc", "gzip"),
    "noise.csv": (bytes(range(1, 256)) * 40, "binary"),
    "mixed.csv": ("a,b\nZoë,Jürgen Müller\n".encode() + b"Andr\xe9,x\n", "most of it is UTF-8"),
    "shift-jis.csv": ("名前,点\n山田、太郎,9\n".encode("shift-jis"), "encoding is unknown"),
    "half-utf16.csv": (b"\xff\xfea\x00,\x00b\x00\n\x00\x31", "not valid UTF-16"),
    "surrogate.csv": (b"\xff\xfea\x00\n\x00\x00\xd8\x00\xd8", "not valid UTF-16"),
    "utf32.csv": (b"\x00\x00\xfe\xff" + "a,b\n1,2\n".encode("utf-32-be"), "UTF-32"),
    "marked.csv": (b"\xef\xbb\xbfa,b\n1,\xff\n", "marked as UTF-8"),
    "text.xlsx": (GOOD_CSV, "name it .csv"),
    "other.xlsx": (zipped({"word/document.xml": b"<w/>"}), "no .xlsx workbook"),
    "cut.xlsx": (GOOD_XLSX[:900], "damaged"),
    "noise.xlsx": (b"PK\x03\x04" + bytes(range(256)), "damaged"),
    "bomb.xlsx": (altered(GOOD_XLSX, {"xl/worksheets/sheet1.xml": b" " * 30_000_000}), "unpacks to"),
    "big-bomb.xlsx": (unpacking_far("xl/workbook.xml", 501_000_000), "unpacks to"),
    "far-corner.xlsx": (sheet(HEADED + f'<row r="1048576">{_text("XFD1048576", "x")}</row>'), "memory"),
    "empty-sheet.xlsx": (workbook(), "empty"),
    "header-only.xlsx": (workbook(["Email", "Score"]), "header and no row"),
    "right-of-header.xlsx": (workbook(["Email"], ["joe"], ["lee", "", "x"]), "row 2 has 3"),
    "long-cell.xlsx": (sheet(HEADED + f'<row r="2">{_text("A2", "x" * 40_000)}</row>'), "32,767"),
    "uncalculated.xlsx": (sheet(HEADED + '<row r="2"><c r="A2"><f>1+1</f><v></v></c></row>'), "calculated"),
    "page.xls": (b"<html><table><tr><td>Email</td></tr></table></html>", "HTML"),
    "new.xls": (GOOD_XLSX, ".xlsx"),
    "noise.xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(4000), "damaged"),
    "bomb.xml": (BOMB, "without document type"),
    "external.xml": (b'<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><records/>', "without document type"),
    "doctype.xml": (b"<!DOCTYPE records><records><record/></records>", "without document type"),
    "no-records.xml": (b"<records/>", "no <record>"),
    "other-root.xml": (b"<Records><record/></Records>", "<records> as the root"),
    "other-child.xml": (b"<records><record/><row/></records>", "<record> alone"),
    "loose-text.xml": (b"<records><record/>text<record/></records>", "found text after record 1"),
    "nested.xml": (b"<records><record><record/></record></records>", "inside"),
    "broken.xml": (b"<records><record><Email>a</record></records>", "not well-formed"),
    "open.xml": (b"<records><record>", "not well-formed"),
    "latin.xml": (b"<records><record><Name>Andr\xe9</Name></record></records>", "not well-formed"),
    "unknown-encoding.xml": (b'<?xml version="1.0" encoding="koi8-r"?><records/>', "declared encoding"),
    "deep.xml": (b"<records><record>" + b"<a>" * 5000, "nested more than"),
    "names.xml": (b"<records><record>" + b"".join(b"<n%d/>" % n for n in range(9000)), "different names"),
    "huge-record.xml": (xml(["x" * 2_100_000]), "record 1"),
    "endless-text.xml": (b"<records><record>" + b"x" * 4_000_000, "record 1"),
    "endless-gap.xml": (b"<records><record/>" + b" " * 4_000_000 + b"<record/></records>", "record 2"),
    "endless-tag.xml": (b"<records><record a='" + b"x" * 8_000_000 + b"'/></records>", "has over"),
    "html.xml": (b"<!doctype html><html></html>", "HTML"),
    "csv.xml": (GOOD_CSV, "name it .csv"),
}
