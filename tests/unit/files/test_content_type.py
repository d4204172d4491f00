from __future__ import annotations

import datetime as dt
import hashlib
from pathlib import Path

import pytest

from gaugepost.files import Upload, content, split
from support.files import GOOD_CSV, GOOD_XLSX, HEADED, Inspect, altered, grid, sheet, workbook, xml

TEXT = "Name,Note\r\nZoë,“déjà vu”\r\nAndré,x\r\n"
ZOE = "Name,Note\r\nZoë,x\r\nAndré,y\r\n"


def only_part(upload: Upload) -> bytes:
    (plan,) = split(upload)
    return content(upload, plan)


def test_a_plain_csv_is_counted_and_needs_no_note(upload: Inspect) -> None:
    found = upload("export.csv", GOOD_CSV)
    assert (found.type, found.rows, found.header, found.notes) == ("csv", 2, ("Email", "Score"), ())
    assert (found.size, found.sha256) == (len(GOOD_CSV), hashlib.sha256(GOOD_CSV).hexdigest())


@pytest.mark.parametrize(
    ("raw", "note"),
    [
        (TEXT.encode(), None),
        (TEXT.encode("utf-8-sig"), None),
        (TEXT.encode("utf-16"), "converted from UTF-16 to UTF-8"),
        (b"\xfe\xff" + TEXT.encode("utf-16-be"), "converted from UTF-16 to UTF-8"),
        (TEXT.encode("utf-16-le"), "converted from UTF-16 to UTF-8"),
        (TEXT.encode("utf-16-be"), "converted from UTF-16 to UTF-8"),
        (TEXT.encode("cp1252"), "converted from Windows-1252 to UTF-8"),
    ],
)
def test_any_known_encoding_goes_out_as_utf8_without_mark(raw: bytes, note: str | None, upload: Inspect) -> None:
    found = upload("a.csv", raw)
    assert found.notes == ((note,) if note else ())
    assert found.sha256 == hashlib.sha256(raw).hexdigest()
    assert only_part(found) == TEXT.encode()


def test_latin_1_is_taken_where_nothing_else_fits(upload: Inspect) -> None:
    found = upload("a.csv", ZOE.encode("latin-1"))
    assert found.notes == ("converted from Latin-1 to UTF-8",)
    assert only_part(found) == ZOE.encode()


def test_character_across_two_reads_does_not_change_the_detected_encoding(upload: Inspect) -> None:
    for shift in range(4):
        raw = b"a\n" + b"x" * ((1 << 18) - 5 + shift) + ("\ufffd€" * 3).encode() + b"\n"
        assert upload("a.csv", raw).notes == ()


@pytest.mark.parametrize(("sign", "spoken"), [(";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")])
def test_other_delimiters_are_found_and_said(sign: str, spoken: str, upload: Inspect) -> None:
    found = upload("a.csv", f'Email{sign}"Note, with comma"\njoe@example.com{sign}a,b\nx@y.example{sign}c\n'.encode())
    assert found.header == ("Email", "Note, with comma")
    assert found.notes == (f"columns are separated by {spoken}; CustomerGauge expects commas unless agreed otherwise",)


def test_one_column_needs_no_delimiter(upload: Inspect) -> None:
    assert upload("a.csv", b"Email address\njoe@example.com\n").header == ("Email address",)


def test_a_quoted_line_break_is_no_new_record(upload: Inspect) -> None:
    found = upload("a.csv", b'a,b\n"1\r\n2\n\n",x\r"3\r",y\n')
    assert found.rows == 2
    assert found.notes == ()


def test_lines_may_end_in_any_way_even_mixed_and_are_kept(upload: Inspect) -> None:
    raw = b"a,b\r1,2\r3,4\r\n5,6\n7,8"
    found = upload("a.csv", raw)
    assert found.rows == 4
    assert only_part(found) == raw


def test_blank_lines_are_left_out_and_said(upload: Inspect) -> None:
    found = upload("a.csv", b"\n \na,b\n1,2\n\n,\n3,4\n\n\n")
    assert found.rows == 2
    assert found.notes == ("6 blank lines skipped",)
    assert only_part(found) == b"a,b\n1,2\n3,4\n"


def test_odd_headers_are_noted_without_personal_data(upload: Inspect) -> None:
    found = upload("a.csv", b"Email,Email,,joe@example.com,joe@example.com\n1,2,3,4,5\n")
    assert found.notes == (
        "the first row has an email address: it is used as the header and is not sent as a record",
        "columns that are twice in the header: 'Email'",
        "1 column has no name in the header",
    )


def test_long_value_is_accepted_while_its_record_fits_a_request(upload: Inspect) -> None:
    raw = b'a,b\n1,"' + b"x" * 1_900_000 + b'"\n'
    assert only_part(upload("a.csv", raw)) == raw


@pytest.mark.starts_process
def test_a_workbook_that_fits_goes_out_as_it_is(upload: Inspect) -> None:
    found = upload("a.xlsx", GOOD_XLSX)
    assert (found.type, found.rows, found.header, found.notes) == ("xlsx", 1, ("Email", "Score"), ())
    assert only_part(found) == GOOD_XLSX


@pytest.mark.starts_process
def test_an_old_workbook_is_read_and_written_as_a_new_one(samples: Path, upload: Inspect) -> None:
    found = upload("old.xls", (samples / "good.xls").read_bytes())
    assert (found.type, found.rows) == ("xlsx", 2)
    assert found.notes == ("read as .xls, sent as .xlsx", "first sheet 'Contacts' used; not: 'Other'")
    assert split(found)[0].name.endswith(".xlsx")
    assert grid(only_part(found)) == [
        ["Email", "Score", "When"],
        ["joe@example.com", 9, dt.datetime.fromisoformat("2024-01-02T03:04:05")],
        ["zoë@example.com", 10.5, dt.date(2024, 1, 3)],
    ]


@pytest.mark.starts_process
def test_workbook_loses_blank_rows_and_keeps_leading_columns(upload: Inspect) -> None:
    rows = [[""], ["", "Email", "Score"], ["", "joe", 1], ["", " "], ["", "", 0], ["", "", "  "]]
    found = upload("a.xlsx", workbook(*rows))
    assert (found.rows, found.header) == (2, ("", "Email", "Score"))
    assert "2 blank lines skipped" in found.notes
    assert grid(only_part(found)) == [["", "Email", "Score"], ["", "joe", 1], ["", "", 0]]


@pytest.mark.starts_process
def test_formulas_go_out_as_their_values(upload: Inspect) -> None:
    row = '<row r="2"><c r="A2"><f>1+1</f><v>2</v></c><c r="B2" t="str"><f>""</f><v></v></c></row>'
    found = upload("a.xlsx", sheet(HEADED + row))
    assert found.notes == ("formulas are sent as their last calculated values",)
    assert found.rows == 1


@pytest.mark.starts_process
def test_cells_with_an_error_go_out_empty_and_are_said(upload: Inspect) -> None:
    row = '<row r="2"><c r="A2" t="e"><v>#N/A</v></c><c r="B2"><v>2</v></c></row>'
    found = upload("a.xlsx", sheet(HEADED + row))
    assert found.notes == ("cells with an error, such as #N/A, are sent empty",)
    assert grid(only_part(found)) == [["Email", "Score"], ["", 2]]


@pytest.mark.starts_process
def test_the_first_visible_sheet_is_the_one(upload: Inspect) -> None:
    hidden = altered(
        GOOD_XLSX,
        {
            "xl/workbook.xml": b'<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r='
            b'"http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets>'
            b'<sheet name="Lists" sheetId="2" state="hidden" r:id="rId9"/><sheet name="Data" sheetId="1" r:id="rId1"/>'
            b"</sheets></workbook>",
            "xl/_rels/workbook.xml.rels": b'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/'
            b'relationships"><Relationship Id="rId1" Target="worksheets/sheet1.xml" Type="http://schemas.openxml'
            b'formats.org/officeDocument/2006/relationships/worksheet"/><Relationship Id="rId9" Target="worksheets/'
            b'sheet2.xml" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet"/>'
            b"<Relationship Id='rId3' Target='sharedStrings.xml' Type='http://schemas.openxmlformats.org/office"
            b"Document/2006/relationships/sharedStrings'/></Relationships>",
            "xl/worksheets/sheet2.xml": b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
            b"<sheetData/></worksheet>",
        },
    )
    found = upload("a.xlsx", hidden)
    assert (found.header, found.rows) == (("Email", "Score"), 1)
    assert found.notes == ("first sheet 'Data' used; not: 'Lists'",)


def test_xml_that_fits_goes_out_as_it_is(upload: Inspect) -> None:
    raw = xml(["<Email>a &amp; b</Email>", "<Email><![CDATA[<x>]]></Email>"])
    found = upload("a.xml", raw)
    assert (found.type, found.rows, found.header, found.notes) == ("xml", 2, (), ())
    assert only_part(found) == raw


@pytest.mark.parametrize(
    ("encoding", "label"),
    [("iso-8859-1", "Latin-1"), ("windows-1252", "Windows-1252"), ("utf-16", "UTF-16"), ("utf-8-sig", None)],
)
def test_xml_in_a_declared_encoding_goes_out_as_utf8(encoding: str, label: str | None, upload: Inspect) -> None:
    declared = "utf-8" if label is None else encoding
    text = f'<?xml version="1.0" encoding="{declared}"?><records><record><N>Zoë</N></record></records>'
    found = upload("a.xml", text.encode(encoding))
    assert found.notes == ((f"converted from {label} to UTF-8",) if label else ())
    assert (
        only_part(found).decode() == '<?xml version="1.0" encoding="UTF-8"?>\n<records>\n'
        "<record><N>Zoë</N></record>\n</records>\n"
    )
