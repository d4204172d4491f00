"""Uploads, statistics and deletion, with each knob of the File APIs."""

import io
import time
import zipfile
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
import requests

from gaugepost_simulator import Simulator

Call = Callable[..., requests.Response]
Statistics = Callable[..., list[dict[str, Any]]]
CSV = b'Email,Comment\r\na@example.com,"two\r\nlines"\r\n\r\nb@example.com,\r\nc@example.com,x\r\n'
XML = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<records><record><Email>a@example.com</Email></record>'
    b"<record><Email>nothing</Email></record></records>"
)
FAMILIES = ["transactional", "contact", "historical", "activity"]


def spreadsheet(rows: list[list[str]]) -> bytes:
    """Write a minimal XLSX file."""
    lines = "".join(
        "<row>" + "".join(f'<c t="inlineStr"><is><t>{cell}</t></is></c>' for cell in row) + "</row>" for row in rows
    )
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    docs = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006/relationships"
    types = "http://schemas.openxmlformats.org/package/2006/content-types"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{types}"><Default Extension="rels" ContentType='
        f'"application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Override PartName="/xl/workbook.xml" ContentType='
        f'"{kind}.sheet.main+xml"/><Override PartName="/xl/s.xml" ContentType="{kind}.worksheet+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}"><Relationship Id="r1" Type="{docs}/officeDocument"'
        ' Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{docs}"><sheets><sheet name="s" sheetId="1" r:id="r1"/>'
        "</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}"><Relationship Id="r1" Type="{docs}/worksheet"'
        ' Target="s.xml"/></Relationships>',
        "xl/s.xml": f'<worksheet xmlns="{main}"><sheetData>{lines}</sheetData></worksheet>',
    }
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return target.getvalue()


@pytest.mark.parametrize("family", FAMILIES)
def test_upload_of_each_family_is_accepted_and_listed(
    sim: Simulator, upload: Call, statistics: Statistics, family: str
) -> None:
    answer = upload("march.csv", CSV, family, key="job-9")
    assert (answer.status_code, answer.json()) == (200, {"Data": True})
    (effect,) = sim.effects(kind="file")
    assert effect["idempotency_key"] == "job-9"
    assert effect["body"] == {
        "filename": "march.csv",
        "family": family,
        "rows": 3,
        "bytes": len(CSV),
        "sha256": sha256(CSV).hexdigest(),
        "upload_id": 1,
    }
    (row,) = statistics(family)
    assert row == row | {
        "id": "1",
        "status": "Processed",
        "source_filename": "march.csv",
        "total_records": "3",
        "successful_records": "3",
        "unsuccessful_records": "0",
        "logs": [],
    }
    time.strptime(row["date_upload"], "%Y-%m-%d %H:%M:%S")
    assert statistics(FAMILIES[FAMILIES.index(family) - 1]) == []


def test_rows_of_xml_and_of_spreadsheets_are_counted(upload: Call, statistics: Statistics) -> None:
    upload("a.xml", XML)
    upload("b.xlsx", spreadsheet([["Email"], ["a@example.com"], ["b@example.com"], ["nothing"]]))
    counts = [(r["total_records"], r["unsuccessful_records"], r["logs"]) for r in statistics()]
    reason = "The Email must be a valid email address"
    assert counts == [("2", "1", [f"Record 3: {reason}"]), ("3", "1", [f"Record 4: {reason}"])]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.xlsx", b"no spreadsheet"),
        ("a.xml", b"<records><record>"),
        ("a.xml", b'<!DOCTYPE x [<!ENTITY e "e">]><records><record>&e;</record></records>'),
    ],
)
def test_file_with_wrong_content_fails_in_processing(
    upload: Call, statistics: Statistics, name: str, content: bytes
) -> None:
    assert upload(name, content).json() == {"Data": True}
    (row,) = statistics()
    assert row["status"] == "Failed"
    assert row["logs"][0].startswith("The file could not be read")


def test_missing_file_or_unknown_type_is_refused(sim: Simulator, upload: Call, call: Call) -> None:
    assert upload("a.json", b"[]").json()["Error"]["Code"] == 300001
    answer = call("POST", "api/v4.1/file/contact.json", files={"other": ("a.csv", CSV)})
    assert answer.json()["Error"] == {"Message": "Field file is required but seems to be empty.", "Code": 300004}
    assert call("POST", "api/v4.1/file/contact.json", data=CSV).status_code == 400
    assert sim.effects() == []


def test_file_with_wrong_delimiter_is_accepted_and_all_records_fail(
    sim: Simulator, upload: Call, statistics: Statistics
) -> None:
    semicolons = b"Email;Comment\na@example.com;x\nb@example.com;\nc@example.com;y\n"
    upload("a.csv", semicolons)
    assert statistics()[0]["unsuccessful_records"] == "3"
    sim.knobs(csv_delimiter=";")
    upload("b.csv", semicolons)
    assert statistics()[1]["successful_records"] == "3"


def test_statistics_are_found_by_id_and_date_and_paged(upload: Call, statistics: Statistics) -> None:
    for n in range(4):
        upload(f"{n}.csv")
    assert [row["source_filename"] for row in statistics(id="3")] == ["2.csv"]
    assert [row["id"] for row in statistics(start="1", limit="2")] == ["2", "3"]
    assert statistics(id="99") == []
    assert statistics(date_range_from="2199-01-01") == []
    assert statistics(date_range_to="2018-01-01") == []
    assert len(statistics(date_range_from="2018-01-01", date_range_to="2199-01-01")) == 4


@pytest.mark.parametrize(
    ("query", "code"), [({"id": "x"}, 400004), ({"limit": "1001"}, 300001), ({"start": "-1"}, 300001)]
)
def test_wrong_filter_of_statistics_is_refused(call: Call, query: dict[str, str], code: int) -> None:
    answer = call("GET", "api/v4.1/file/contact.json", params=query)
    assert (answer.status_code, answer.json()["Error"]["Code"]) == (400, code)


def test_statistics_are_available_as_xml(upload: Call, call: Call) -> None:
    upload("a&b.csv")
    text = call("GET", "api/v4.1/file/transactional.xml").text
    assert text.startswith("<Data><item><id>1</id><status>Processed</status>")
    assert "<source_filename>a&amp;b.csv</source_filename>" in text


def test_a_deleted_upload_is_gone_with_its_records(
    sim: Simulator, upload: Call, call: Call, statistics: Statistics
) -> None:
    upload("march.csv", CSV)
    assert sim.state()["file_records"]["eu"] == 3
    answer = call("DELETE", "api/v4.1/file.json", key="job-2", params={"id": "1"})
    assert (answer.status_code, answer.json()) == (200, {"Data": True})
    assert statistics() == []
    assert sim.state()["file_records"]["eu"] == 0
    file, deletion = sim.effects()
    assert file["gone"] is True
    assert deletion["kind"] == "file_delete"
    assert deletion["body"] == {"upload_id": 1, "filename": "march.csv", "rows": 3}
    again = call("DELETE", "api/v4.1/file.json", params={"id": "1"})
    assert (again.status_code, again.json()) == (400, {"Error": {"Message": "File not found", "Code": 400200}})
    assert upload("march.csv", CSV).status_code == 200


def test_a_deletion_needs_an_id_of_its_own_region(sim: Simulator, upload: Call, call: Call) -> None:
    upload()
    assert call("DELETE", "api/v4.1/file.json").json()["Error"]["Code"] == 400010
    assert call("DELETE", "api/v4.1/file.json", params={"id": "abc"}).json()["Error"]["Code"] == 400004
    assert call("DELETE", "api/v4.1/file.json", "us", params={"id": "1"}).json()["Error"]["Code"] == 400200
    assert "<Code>400200</Code>" in call("DELETE", "api/v4.1/file.xml", params={"id": "5"}).text
    assert sim.state()["file_records"]["eu"] == 1


@pytest.mark.parametrize(
    ("knob", "same_name", "same_content", "same_both"),
    [
        ("name", 400, 200, 400),
        ("content", 200, 400, 400),
        ("both", 200, 200, 400),
        ("either", 400, 400, 400),
        ("off", 200, 200, 200),
    ],
)
def test_what_counts_as_already_processed_can_be_set(
    sim: Simulator, upload: Call, knob: str, same_name: int, same_content: int, same_both: int
) -> None:
    sim.knobs(already_processed_by=knob)
    assert upload("a.csv", b"Email\n1@example.com\n").status_code == 200
    assert upload("a.csv", b"Email\n1@example.com\n").status_code == same_both
    assert upload("a.csv", b"Email\n2@example.com\n").status_code == same_name
    assert upload("b.csv", b"Email\n1@example.com\n").status_code == same_content
    assert upload("a.csv", b"Email\n1@example.com\n", region="us").status_code == 200


def test_repeated_upload_has_its_error_code(upload: Call) -> None:
    upload()
    assert upload().json() == {"Error": {"Message": "This upload has already been processed", "Code": 400103}}


def test_the_reply_to_an_upload_can_have_its_id(sim: Simulator, upload: Call) -> None:
    sim.knobs(upload_reply_id=True)
    assert upload().json() == {"Data": {"id": 1}}
    assert sim.effects()[0]["result"] == {"upload_id": 1}


def test_an_upload_too_soon_is_refused_in_the_refusing_mode(sim: Simulator, upload: Call) -> None:
    sim.knobs(upload_interval=600, upload_interval_mode="refuse")
    assert upload("a.csv").status_code == 200
    answer = upload("b.csv", family="contact")
    assert (answer.status_code, answer.json()["Error"]["Code"]) == (400, 400101)
    assert upload("c.csv", region="us").status_code == 200
    assert sim.state()["limits_broken"]["eu.interval"] == 1
    sim.knobs(upload_interval_scope="endpoint")
    assert upload("d.csv", family="contact").status_code == 200
    assert upload("e.csv", family="contact").status_code == 400


def test_upload_after_the_interval_is_accepted(sim: Simulator, upload: Call) -> None:
    sim.knobs(upload_interval=0.4, upload_interval_mode="refuse")
    assert upload("a.csv").status_code == 200
    deadline = time.monotonic() + 10
    while upload("b.csv").status_code == 400:
        assert time.monotonic() < deadline
    first, second = sim.effects()
    assert second["received_at"] - first["received_at"] >= 0.4


def test_an_upload_too_soon_waits_in_the_queueing_mode(sim: Simulator, upload: Call, statistics: Statistics) -> None:
    sim.knobs(upload_interval=600, upload_interval_mode="queue")
    upload("a.csv")
    assert upload("b.csv").json() == {"Data": True}
    assert [row["status"] for row in statistics()] == ["Processed", "Waiting"]
    assert sim.state()["limits_broken"]["eu.interval"] == 1


def test_violated_interval_is_only_counted_when_the_mode_is_off(sim: Simulator, upload: Call) -> None:
    sim.knobs(upload_interval=600)
    assert [upload("a.csv").status_code, upload("b.csv").status_code] == [200, 200]
    assert sim.state()["limits_broken"]["eu.interval"] == 1


def test_files_over_the_limits_are_counted(sim: Simulator, upload: Call) -> None:
    upload("rows.csv", b"Email\n" + b"a@example.com\n" * 2001)
    upload("bytes.csv", b"Email,x\na@example.com," + b"x" * 2_000_000)
    broken = sim.state()["limits_broken"]
    assert (broken["eu.rows"], broken["eu.bytes"]) == (1, 1)


def test_processing_passes_through_its_states(sim: Simulator, upload: Call, statistics: Statistics) -> None:
    sim.knobs(processing_seconds=6, processing_states=["Queued", "Running"], reject_rows=[1])
    upload("a.csv", CSV)
    seen: dict[str, dict[str, Any]] = {}
    deadline = time.monotonic() + 60
    while "Processed" not in seen:
        (row,) = statistics()
        seen[row["status"]] = row
        assert time.monotonic() < deadline
    assert list(seen) == ["Queued", "Running", "Processed"]
    assert seen["Running"]["successful_records"] == "0"
    assert seen["Running"]["logs"] == []
    assert seen["Processed"]["successful_records"] == "2"


def test_an_upload_can_be_late_in_the_statistics(sim: Simulator, upload: Call, statistics: Statistics) -> None:
    sim.knobs(statistics_delay=600)
    upload()
    assert statistics() == []
    sim.knobs(statistics_delay=0)
    assert len(statistics()) == 1


@pytest.mark.parametrize(("base", "logged"), [(2, 3), (1, 2), (0, 1)])
def test_rejected_rows_are_numbered_from_the_base(
    sim: Simulator, upload: Call, statistics: Statistics, base: int, logged: int
) -> None:
    sim.knobs(record_number_base=base, reject_rows=[2, 99])
    upload("a.csv", CSV)
    (row,) = statistics()
    assert row["logs"] == [f"Record {logged}: Duplicate Record"]
    assert (row["successful_records"], row["unsuccessful_records"]) == ("2", "1")


def test_rows_with_a_bad_email_fail_unless_that_is_switched_off(
    sim: Simulator, upload: Call, statistics: Statistics
) -> None:
    content = b"Name,Email\nx,nothing\ny,\nz,z@example.com\n"
    upload("a.csv", content)
    sim.knobs(reject_bad_emails=False)
    upload("b.csv", content)
    assert [row["unsuccessful_records"] for row in statistics()] == ["1", "0"]
