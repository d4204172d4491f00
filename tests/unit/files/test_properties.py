"""Check properties of any file: no row is lost or reordered, limits hold, and rejects can be sent again."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from gaugepost.files import Part, Upload, content, inspect, rejects, split
from support.files import Save, grid, workbook, xml

SLOW = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=40)
FAST = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=300)

cells = st.text(st.sampled_from("ab \",;|\t\r\n'é€😀=\x0b\x85\u2028\ufeff"), max_size=6)
ends = st.sampled_from(["\n", "\r\n", "\r"])
limits = st.tuples(st.integers(1, 5), st.integers(300, 500))


def quoted(cell: str, *, always: bool) -> str:
    """Write a value as CSV does."""
    doubled = cell.replace('"', '""')
    return f'"{doubled}"' if always or set(cell) & set(',;|\t"\r\n') else cell


@dataclass(frozen=True)
class Csv:
    """A CSV file and its records. Lines without a value are between them and are no records."""

    raw: bytes
    head: bytes
    header: tuple[str, ...]
    records: list[bytes]


@st.composite
def csv_files(draw: st.DrawFn) -> Csv:
    width, sign = draw(st.integers(1, 4)), draw(st.sampled_from(",;|\t"))
    header = tuple(f"column{n}" for n in range(width))
    rows = draw(st.lists(st.lists(cells, min_size=width, max_size=width), min_size=1, max_size=12))
    assume(any(cell.strip() for row in rows for cell in row))
    raw, lines = "", []
    for row in [header, *rows]:
        line = sign.join(quoted(cell, always=draw(st.booleans())) for cell in row) + draw(ends)
        lines += [line] if any(map(str.strip, row)) else []
        for more in (line, draw(st.sampled_from(["", "", "\r\n", (sign * (width - 1) or " ") + "\n"]))):
            assume(not (raw.endswith("\r") and more.startswith("\n")))  # together they would be one end of line
            raw += more
    if raw.endswith(lines[-1]) and draw(st.booleans()):  # a last line often has no end
        bare = lines[-1].rstrip("\r\n")
        raw, lines[-1] = raw.removesuffix(lines[-1]) + bare, bare
    mark = b"\xef\xbb\xbf" if draw(st.booleans()) else b""
    return Csv(mark + raw.encode(), lines[0].encode(), header, [line.encode() for line in lines[1:]])


def check_plans(upload: Upload, max_rows: int, max_bytes: int) -> list[Part]:
    """Split, and check the properties of any type."""
    plans = split(upload, max_rows=max_rows, max_bytes=max_bytes)
    parts = [Part(upload.type, content(upload, plan), plan.first_row) for plan in plans]
    assert sum(plan.rows for plan in plans) == upload.rows
    assert len({plan.name for plan in plans}) == len(plans)
    first = 1
    for plan, part in zip(plans, parts, strict=True):
        assert plan.first_row == first
        assert 1 <= plan.rows <= max_rows
        assert plan.bytes == len(part.content) <= max_bytes
        assert len(plan.name) <= 100
        first += plan.rows
    return parts


@FAST
@given(file=csv_files(), limit=limits, data=st.data())
def test_csv_parts_are_the_original_records_byte_for_byte(
    save: Save, file: Csv, limit: tuple[int, int], data: st.DataObject
) -> None:
    with inspect(save("export.csv", file.raw)) as upload:
        assert (upload.header, upload.rows) == (file.header, len(file.records))
        parts = check_plans(upload, *limit)
        wanted = sorted(data.draw(st.sets(st.integers(1, upload.rows), min_size=1)))
    assert all(part.content.startswith(file.head) for part in parts)
    assert b"".join(part.content.removeprefix(file.head) for part in parts) == b"".join(file.records)
    with inspect(save("rejects.csv", rejects(parts, wanted))) as again:
        found = [again.records.read(at).rstrip(b"\r\n") for at in range(again.rows)]
    assert found == [file.records[row - 1].rstrip(b"\r\n") for row in wanted]


EARLIEST, LATEST = (dt.datetime.fromisoformat(day) for day in ("1950-01-01", "2100-01-01"))
moments = st.datetimes(EARLIEST, LATEST).map(lambda moment: moment.replace(microsecond=0))
values = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=8),
    st.integers(-(10**15), 10**15),
    st.floats(-1e9, 1e9).map(lambda number: float(f"{number:.12g}")),
    st.booleans(),
    moments,
    moments.map(dt.datetime.date),
    st.times().map(lambda time: time.replace(microsecond=0)),
)


def same(one: object, two: object) -> bool:
    """Compare cells: midnight of a day equals the day, and numbers have no type in a workbook."""
    if isinstance(one, dt.datetime) and one.time() == dt.time():
        one = one.date()
    return one == two or (one == "" and two == "")


@pytest.mark.starts_process
@SLOW
@given(rows=st.lists(st.lists(values, min_size=2, max_size=2), min_size=1, max_size=8), data=st.data())
def test_workbook_parts_have_the_original_values(save: Save, rows: list[list[Any]], data: st.DataObject) -> None:
    rows = [["x", *row] for row in rows]
    with inspect(save("export.xlsx", workbook(["a", "b", "c"], *rows))) as upload:
        parts = check_plans(upload, data.draw(st.integers(1, 5)), 100_000)
        wanted = data.draw(st.sets(st.integers(1, upload.rows), min_size=1))
    grids = [grid(part.content) for part in parts]
    assert all(one[0] == ["a", "b", "c"] for one in grids)
    found = [padded(row) for one in grids for row in one[1:]]
    assert all(
        same(cell, other) for row, copy in zip(rows, found, strict=True) for cell, other in zip(row, copy, strict=True)
    )
    with inspect(save("rejects.xlsx", rejects(parts, wanted))) as again:
        assert again.rows == len(wanted)
        rejected = [padded(row) for row in grid(again.path.read_bytes())[1:]]
    assert rejected == [found[row - 1] for row in sorted(wanted)]


def padded(row: list[Any]) -> list[Any]:
    return row + [""] * (3 - len(row))


markup = st.recursive(
    st.text(st.sampled_from("ab <>&'\"é😀\n]"), max_size=6).map(escape)
    | st.sampled_from(["<!-- > -->", "<![CDATA[</record>]]>", "<?pi > ?>", "<e a='/>'/>"]),
    lambda inner: st.lists(inner, max_size=3).map(lambda parts: "<f>" + "".join(parts) + "</f>"),
    max_leaves=6,
)
gaps = st.sampled_from(["", "\n  ", "<!-- <record> -->", "<?pi?>"])


@FAST
@given(records=st.lists(markup, min_size=1, max_size=10), gap=gaps, limit=limits, data=st.data())
def test_xml_parts_have_the_original_records_byte_for_byte(
    save: Save, records: list[str], gap: str, limit: tuple[int, int], data: st.DataObject
) -> None:
    assume(max(map(len, records)) < 40)
    raw = (
        "<records>" + gap + gap.join(f"<record>{record}</record>" for record in records) + gap + "</records>"
    ).encode()
    with inspect(save("export.xml", raw)) as upload:
        assert upload.rows == len(records)
        parts = check_plans(upload, limit[0], limit[1] + 150)
        found = [upload.records.read(n).decode() for n in range(upload.rows)]
        wanted = data.draw(st.sets(st.integers(1, upload.rows), min_size=1))
    assert found == [f"<record>{record}</record>" for record in records]
    elements = [ET.tostring(record).strip() for part in parts for record in ET.fromstring(part.content)]
    assert elements == [ET.tostring(record).strip() for record in ET.fromstring(raw)]
    with inspect(save("rejects.xml", rejects(parts, wanted))) as again:
        assert [again.records.read(n).decode() for n in range(again.rows)] == [found[row - 1] for row in sorted(wanted)]


def test_xml_helper_builds_the_requested_records() -> None:
    assert len(ET.fromstring(xml(["a", "b"]))) == 2
