"""Give any bytes under any file ending: the result is a clear refusal, or parts that would be accepted themselves."""

from __future__ import annotations

import zipfile
from io import BytesIO

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gaugepost.errors import InvalidJob
from gaugepost.files import Part, content, inspect, rejects, split
from support.files import GOOD_CSV, GOOD_XLSX, Save, altered, workbook, xml

ANY = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=300)
FEW = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=40)

tokens = st.sampled_from(
    [
        b"a",
        b",",
        b";",
        b"|",
        b"\t",
        b'"',
        b'""',
        b"\n",
        b"\r",
        b" ",
        b"\xc3\xa9",
        b"\xe9",
        b"\0",
        b"\xff\xfe",
        b"\x81",
        b"a,b\n",
    ]
)
markup = st.sampled_from(
    b"<records> </records> <record> </record> <record/> <a\tb='c'> </a> x &amp; &x; <!----> <![CDATA[x]]> <?p?> "
    b"<!DOCTYPE\tr> \xe9 \xef\xbb\xbf <?xml\tversion='1.0'?> < \n".split(b" ")
)
SAMPLES = {
    "csv": GOOD_CSV,
    "xml": xml(["<Email>a &amp; b</Email>", "<Email>c</Email>"]),
    "xlsx": GOOD_XLSX,
    "utf16.csv": GOOD_CSV.decode().encode("utf-16"),
}


def check(save: Save, name: str, raw: bytes) -> None:
    """Inspect, split and read rejects: only InvalidJob may be raised, and accepted parts are accepted again."""
    try:
        upload = inspect(save(name, raw))
    except InvalidJob:
        return
    with upload:
        plans = split(upload, max_rows=2)
        parts = [Part(upload.type, content(upload, plan), plan.first_row) for plan in plans]
        last = rejects(parts, [upload.rows])
    for made, rows in [(last, 1), *((part.content, plan.rows) for part, plan in zip(parts, plans, strict=True))]:
        with inspect(save(f"part.{upload.type}", made)) as again:
            assert again.rows == rows


@st.composite
def damaged(draw: st.DrawFn, raw: bytes) -> bytes:
    """Return a good file with some bytes changed, removed or inserted."""
    data = bytearray(raw)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 4))] = draw(st.binary(max_size=4))
    return bytes(data)


@ANY
@given(ending=st.sampled_from(["csv", "xml"]), raw=st.binary(max_size=200))
@example(ending="csv", raw=b"\xef\xbb\xbf\xef\xbb\xbfa\nb")
def test_arbitrary_bytes(save: Save, ending: str, raw: bytes) -> None:
    check(save, f"x.{ending}", raw)


@ANY
@given(raw=st.lists(tokens, max_size=40).map(b"".join))
@example(raw=b",\na;\n;")
@example(raw=b",\na;\na")
@example(raw=b'"",""\na;\n;')
@example(raw=b";\na\na;")
def test_arbitrary_csv(save: Save, raw: bytes) -> None:
    check(save, "x.csv", raw)


@ANY
@given(raw=st.lists(markup, max_size=20).map(b"".join))
def test_arbitrary_xml(save: Save, raw: bytes) -> None:
    check(save, "x.xml", raw)
    check(save, "x.xml", b"<records>" + raw + b"</records>")


@ANY
@given(name=st.sampled_from(["csv", "xml", "utf16.csv"]), data=st.data())
def test_damaged_texts(save: Save, name: str, data: st.DataObject) -> None:
    check(save, f"x.{name}", data.draw(damaged(SAMPLES[name])))


@pytest.mark.starts_process
@FEW
@given(raw=damaged(GOOD_XLSX))
def test_damaged_workbooks(save: Save, raw: bytes) -> None:
    check(save, "x.xlsx", raw)


with zipfile.ZipFile(BytesIO(workbook(["Email", "At"], ["joe", 1.5], ["lee", True]))) as archive:
    ENTRIES = {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.starts_process
@FEW
@given(entry=st.sampled_from(sorted(ENTRIES)), data=st.data())
def test_workbooks_with_damaged_entries(save: Save, entry: str, data: st.DataObject) -> None:
    check(save, "x.xlsx", altered(GOOD_XLSX, ENTRIES | {entry: data.draw(damaged(ENTRIES[entry]))}))


@pytest.mark.starts_process
@FEW
@given(data=st.data())
def test_damaged_old_workbooks(save: Save, samples_xls: bytes, data: st.DataObject) -> None:
    check(save, "x.xls", data.draw(damaged(samples_xls)))


@pytest.mark.starts_process
@FEW
@given(raw=st.binary(max_size=600), ending=st.sampled_from(["xls", "xlsx"]))
def test_arbitrary_bytes_behind_the_mark_of_a_workbook(save: Save, raw: bytes, ending: str) -> None:
    check(save, f"x.{ending}", (b"PK\x03\x04" if ending == "xlsx" else b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1") + raw)
