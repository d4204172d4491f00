from __future__ import annotations

import pytest

from gaugepost.errors import InvalidJob
from gaugepost.files import Part, RowMessage, Upload, content, inspect, read_messages, reasons, rejects, split
from support.files import GOOD_CSV, Inspect, Save, grid, workbook, xml


def parts_of(upload: Upload, max_rows: int) -> list[Part]:
    return [Part(upload.type, content(upload, p), p.first_row) for p in split(upload, max_rows=max_rows)]


def test_rejected_rows_come_out_under_the_header_from_several_parts(upload: Inspect) -> None:
    parts = parts_of(upload("a.csv", b"a,b\r\n1,x\r\n2,x\r\n3,x\r\n4,x\r\n5,x"), 2)
    assert rejects(reversed(parts), {5, 1, 4}) == b"a,b\r\n1,x\r\n4,x\r\n5,x\r\n"


def test_a_last_line_without_end_gets_one_before_another_follows(upload: Inspect) -> None:
    one, two = upload("a.csv", b"a\n1\n2"), upload("a.csv", b"a\n3")
    parts = [*parts_of(one, 2), Part("csv", content(two, split(two)[0]), 3)]
    assert rejects(parts, [3, 2]) == b"a\n2\n3\n"


@pytest.mark.starts_process
def test_rejects_of_a_workbook_are_a_workbook_and_of_xml_xml(upload: Inspect, save: Save) -> None:
    book = rejects(parts_of(upload("a.xlsx", workbook(["a", "b"], ["1", 1], ["2", 2], ["3", 3])), 2), [2, 3])
    assert grid(book) == [["a", "b"], ["2", 2], ["3", 3]]
    text = rejects(parts_of(upload("a.xml", xml("123")), 2), [3])
    assert b"<records>\n<record>3</record>\n</records>" in text
    with inspect(save("r.xml", text)) as found:
        assert found.rows == 1


WHY = {1: 'Say "no"; twice', 3: "a < b & c"}


def test_reasons_are_a_last_column_of_csv(upload: Inspect) -> None:
    parts = parts_of(upload("a.csv", b'a;b\r\n1;"x\r\ny"\r\n2;x\r\n3;x'), 2)
    assert rejects(parts, {1, 3}, WHY) == (
        b'a;b;"Rejected because"\r\n1;"x\r\ny";"Say ""no""; twice"\r\n3;x;"a < b & c"\r\n'
    )
    assert rejects(parts, {2}, WHY) == b'a;b;"Rejected because"\r\n2;x;""\r\n'


@pytest.mark.starts_process
def test_reasons_become_a_last_workbook_column_or_an_xml_element(upload: Inspect, save: Save) -> None:
    book = rejects(parts_of(upload("a.xlsx", workbook(["a", "b"], ["1"], ["2", 2], ["3", 3])), 2), [1, 3], WHY)
    assert grid(book) == [["a", "b", "Rejected because"], ["1", "", WHY[1]], ["3", 3, WHY[3]]]
    text = rejects(parts_of(upload("a.xml", xml("123")), 2), [3], WHY)
    assert b"<record>3<rejected_because>a &lt; b &amp; c</rejected_because></record>" in text
    with inspect(save("r.xml", text)) as found:
        assert found.rows == 1


def test_reasons_are_read_from_the_messages() -> None:
    messages = ["Record 17: Duplicate Record", "Record 3: Email: is wrong", "Record 17: Name is required", "other"]
    assert reasons(messages) == {17: "Duplicate Record; Name is required", 3: "Email: is wrong"}


@pytest.mark.parametrize("rows", [[], [0], [3], [1, 99]])
def test_numbers_that_are_in_no_part_are_refused(rows: list[int], upload: Inspect) -> None:
    with pytest.raises(InvalidJob, match=r"^rows: expected numbers of records"):
        rejects(parts_of(upload("a.csv", GOOD_CSV), 1), rows)


def test_messages_are_mapped_to_the_rows_of_the_users_file() -> None:
    logs = ["Record 2: Duplicate Record", "record 17 : Last Name is required: really"]
    assert read_messages(logs, 2000, 4001) == [
        RowMessage(4001, "Duplicate Record"),
        RowMessage(4016, "Last Name is required: really"),
    ]
    assert read_messages(logs, 2000, 4001, record_number_base=1)[1] == RowMessage(4017, "Last Name is required: really")


def test_other_messages_are_kept_whole_and_without_a_row() -> None:
    assert read_messages(["The file is odd ", "Record 2: x"], 1, 1) == [
        RowMessage(None, "The file is odd"),
        RowMessage(1, "x"),
    ]


@pytest.mark.parametrize("impossible", ["Record 1: x", "Record 0: x", "Record 12: x", "Record 999999999: x"])
def test_impossible_row_number_makes_all_numbers_of_a_part_doubtful(impossible: str) -> None:
    assert read_messages(["Record 5: y", impossible], 10, 1) == [
        RowMessage(None, "Record 5: y"),
        RowMessage(None, impossible),
    ]


def test_the_last_record_of_a_part_is_in_it() -> None:
    assert read_messages(["Record 11: x"], 10, 1) == [RowMessage(10, "x")]
