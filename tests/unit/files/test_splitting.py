from __future__ import annotations

import hashlib
import os
import re
from xml.etree import ElementTree as ET

import pytest

from gaugepost.errors import InvalidJob
from gaugepost.files import content, inspect, split
from support.files import GOOD_CSV, GOOD_XLSX, Inspect, Save, grid, workbook, xml


def test_one_part_is_named_by_its_content(upload: Inspect) -> None:
    (plan,) = split(upload("export.csv", GOOD_CSV))
    digest = hashlib.sha256(GOOD_CSV).hexdigest()
    assert (plan.number, plan.of, plan.rows, plan.bytes, plan.first_row) == (1, 1, 2, len(GOOD_CSV), 1)
    assert (plan.name, plan.sha256) == (f"export.{digest[:10]}.csv", digest)


def test_fifty_parts_are_numbered_and_named_in_order(upload: Inspect) -> None:
    rows = b"".join(b"user%d@example.com,%d\r\n" % (row, row % 11) for row in range(100_000))
    found = upload("export.csv", b"Email,Score\r\n" + rows)
    plans = split(found)
    assert [plan.first_row for plan in plans] == list(range(1, 100_000, 2000))
    assert {plan.rows for plan in plans} == {2000}
    assert re.fullmatch(r"export\.part-03-of-50\.[0-9a-f]{10}\.csv", plans[2].name)
    assert len({plan.name for plan in plans}) == 50
    contents = [content(found, plan) for plan in plans]
    assert b"".join(part.removeprefix(b"Email,Score\r\n") for part in contents) == rows
    assert [hashlib.sha256(part).hexdigest()[:10] for part in contents] == [plan.name[-14:-4] for plan in plans]


@pytest.mark.parametrize(
    ("filename", "stem"),
    [
        ("Müller & Söhne (März).csv", "Muller_Sohne_Marz"),
        ("..a b..csv", "a_b"),
        ("名前.csv", "file"),
        ("--.csv", "file"),
        ("v1.2_x-y.CSV", "v1.2_x-y"),
    ],
)
def test_names_keep_only_portable_characters(filename: str, stem: str, upload: Inspect) -> None:
    (plan,) = split(upload(filename, GOOD_CSV))
    assert plan.name == f"{stem}.{plan.sha256[:10]}.csv"


def test_names_are_at_most_100_long_and_keep_their_end(upload: Inspect) -> None:
    plans = split(upload("x" * 240 + ".csv", GOOD_CSV), max_rows=1)
    assert [len(plan.name) for plan in plans] == [100, 100]
    assert plans[1].name.endswith(f".part-2-of-2.{plans[1].sha256[:10]}.csv")


def test_bytes_bound_a_part_too(upload: Inspect) -> None:
    found = upload("a.csv", b"a\n" + b"123456789\n" * 10)
    assert [(plan.rows, plan.bytes) for plan in split(found, max_bytes=32)] == [(3, 32)] * 3 + [(1, 12)]


@pytest.mark.starts_process
def test_a_single_record_over_the_limit_is_refused_by_its_number(upload: Inspect) -> None:
    long = "x" * 100
    random = [os.urandom(60).hex() for _ in range(300)]
    for found in (
        upload("a.csv", f"a\n1\n2\n{long}\n".encode()),
        upload("a.xml", xml(["1", "2", long])),
        upload("a.xlsx", workbook(["a"] * 300, ["1"] * 300, ["2"] * 300, random)),
    ):
        limit = 16_000 if found.type == "xlsx" else 95
        with pytest.raises(InvalidJob, match=rf"^content: row 3 alone \(with the header\) has over {limit:,} bytes"):
            split(found, max_bytes=limit)


@pytest.mark.starts_process
def test_a_workbook_is_cut_by_the_bytes_it_packs_to(upload: Inspect) -> None:
    rows = [[os.urandom(500).hex()] for _ in range(60)]
    found = upload("a.xlsx", workbook(["a"], *rows))
    plans = split(found, max_bytes=15_000)
    assert len(plans) > 2
    assert all(plan.bytes <= 15_000 for plan in plans)
    assert [row for plan in plans for row in grid(content(found, plan))[1:]] == rows


@pytest.mark.starts_process
def test_equal_rows_give_equal_bytes(upload: Inspect) -> None:
    rows = (["a", "b"], ["1", 2], ["3", 4])
    first, second = (split(upload("a.xlsx", workbook(*rows)), max_rows=1) for _ in range(2))
    assert first == second


def test_xml_records_go_out_byte_for_byte_with_the_root_they_had(upload: Inspect) -> None:
    records = ["<record a='1>2'/>", "<record><x:N>é &lt;</x:N><!-- c --></record >", "<record>\r\n</record>"]
    root = "<records xmlns:x='urn:x'>"
    text = f"<?xml version='1.0'?><!-- a -->{root}{records[0]}<!-- b -->{records[1]} <?pi x?> {records[2]}</records>"
    found = upload("a.xml", text.encode())
    parts = [content(found, plan).decode() for plan in split(found, max_rows=2)]
    assert parts[0] == f'<?xml version="1.0" encoding="UTF-8"?>\n{root}\n{records[0]}\n{records[1]}\n</records>\n'
    assert parts[1] == f'<?xml version="1.0" encoding="UTF-8"?>\n{root}\n{records[2]}\n</records>\n'
    assert [len(ET.fromstring(part)) for part in parts] == [2, 1]


@pytest.mark.starts_process
@pytest.mark.parametrize(("name", "raw"), [("a.csv", GOOD_CSV), ("a.xml", xml(["1", "2"])), ("a.xlsx", GOOD_XLSX)])
def test_a_file_that_changes_while_it_is_read_is_refused(name: str, raw: bytes, save: Save) -> None:
    path = save(name, raw)
    with inspect(path) as found:
        plans = split(found)
        path.write_bytes(raw.replace(raw[-8:], b"changed!"))
        os.utime(path, (1, 1))
        with pytest.raises(InvalidJob, match="was changed"):
            content(found, plans[0])
        with pytest.raises(InvalidJob, match="was changed"):
            split(found)


def test_a_file_that_was_cut_short_is_refused(save: Save) -> None:
    path = save("a.csv", GOOD_CSV)
    with inspect(path) as found:
        path.write_bytes(b"")
        with pytest.raises(InvalidJob, match="was changed"):
            split(found)
