"""Check the rules of each kind when a job is made."""

from __future__ import annotations

import base64
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from gaugepost.errors import InvalidJob
from gaugepost.jobs import File, parse_job, parse_job_json

if TYPE_CHECKING:
    from pathlib import Path

BASE: dict[str, dict[str, Any]] = {
    "record": {"configuration": "5350", "record": {"Email": "a@b.example"}},
    "personal_link": {"configuration": "5350", "record": {"Email": "a@b.example"}},
    "close_loop": {"number_customergauge": "53499", "status": "open"},
    "response": {"fields": {"Email": "a@b.example"}},
    "file": {"family": "contact", "filename": "a.csv", "content_base64": "ZW1haWwKYUBiLmMK"},
    "file_delete": {"upload_id": 12},
}


def made(kind: str, **more: Any) -> Any:
    return parse_job({"kind": kind, "region": "eu"} | BASE[kind] | more)


def refused(kind: str, **more: Any) -> dict[str, str]:
    fields = {"kind": kind, "region": "eu"} | BASE[kind] | more
    with pytest.raises(InvalidJob) as refusal:
        parse_job(fields)
    with pytest.raises(InvalidJob):
        parse_job_json(json.dumps(fields))
    return {problem.field: problem.expected for problem in refusal.value.problems}


# record and personal_link


@pytest.mark.parametrize("kind", ["record", "personal_link"])
@pytest.mark.parametrize("configuration", ["", "a b", "a[b]", "x" * 129, 5, None])
def test_a_configuration_is_a_reference_without_blanks_and_brackets(kind: str, configuration: object) -> None:
    assert list(refused(kind, configuration=configuration)) == ["configuration"]


@pytest.mark.parametrize("kind", ["record", "personal_link"])
@pytest.mark.parametrize("record", [{}, [], "x", {"": "x"}, {"x" * 256: "x"}, {"Email": ["a"]}, {"Email": {"a": 1}}])
def test_a_record_is_headings_with_single_values_and_not_empty(kind: str, record: object) -> None:
    assert any(field == "record" or field.startswith("record.") for field in refused(kind, record=record))


@pytest.mark.parametrize(
    ("heading", "value"),
    [
        ("Phone", "+31 20 abc"),
        ("phone", "12#3"),
        ("Telephone", "x"),
        ("NPS Score", "11"),
        ("NPS Score", -1),
        ("NPS Score", "nine"),
        ("nps score", 9.5),
        ("Sent Date", "31.12.2023"),
        ("Survey Completed Date", "2023-02-30"),
    ],
)
def test_a_cell_whose_rule_is_known_is_refused_by_its_heading(heading: str, value: object) -> None:
    [(field, expected)] = refused("record", record={heading: value}).items()
    assert field == "record"
    assert expected.startswith(f"{heading}: expected")


@pytest.mark.parametrize(
    "cells",
    [
        {"Phone": "+31 (20) 123-45"},
        {"NPS Score": "10", "Sent Date": "2023-12-31"},
        {"NPS Score": 0, "Sent Date": "2023-12-31 23:59:59"},
        {"NPS Score": "", "Phone": None, "Other": True, "Amount": 1.5},
    ],
)
def test_cells_are_stored_unchanged(cells: dict[str, Any]) -> None:
    job = made("record", record=cells)
    assert dict(parse_job_json(job.to_json()).record) == cells


def test_a_number_too_large_for_a_double_is_refused() -> None:
    assert refused("record", record={"Amount": float("inf")})


@pytest.mark.parametrize("heading", ["Email", "Phone"])
def test_personal_link_needs_a_recipient(heading: str) -> None:
    assert made("personal_link", record={heading: "123"})
    assert "record: expected the field Email or Phone" in str(refused("personal_link", record={"Name": "x"}))


# close_loop


@pytest.mark.parametrize("number", [53499, "53499", "0053499"])
def test_one_case_has_one_spelling_and_one_lane(number: object) -> None:
    job = made("close_loop", number_customergauge=number)
    assert (job.number_customergauge, job.lane) == ("53499", "case:53499")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("number_customergauge", ""),
        ("number_customergauge", "12a"),
        ("number_customergauge", "-1"),
        ("number_customergauge", -1),
        ("number_customergauge", True),
        ("number_customergauge", 1.5),
        ("number_customergauge", "١٢"),
        ("number_customergauge", "1" * 21),
        ("status", "done"),
        ("status", "Open"),
        ("note", ""),
        ("note", 5),
        ("assignee", "john"),
        ("assignee", "a@b c"),
        ("assignee", "a" * 254 + "@b"),
        ("happened_at", "2023-07-31"),
        ("happened_at", "2023-07-31T08:50:15"),
        ("happened_at", "2023-13-31 08:50:15"),
        ("happened_at", 5),
    ],
)
def test_a_close_loop_is_refused_by_its_fields_name(field: str, value: object) -> None:
    assert list(refused("close_loop", **{field: value})) == [field]


# response


@pytest.mark.parametrize("score", [0, 10, "9", "0"])
def test_a_score_may_be_text_where_the_number_is_meant(score: object) -> None:
    assert made("response", net_promoter_score=score).net_promoter_score == int(str(score))


def test_other_numbers_may_be_text_too() -> None:
    assert made("response", reason_codes=["10000", 10020]).reason_codes == (10000, 10020)
    assert made("response", workflow_status="42").workflow_status == 42
    assert made("file_delete", upload_id="12").upload_id == 12


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("net_promoter_score", 11, "net_promoter_score"),
        ("net_promoter_score", -1, "net_promoter_score"),
        ("net_promoter_score", "ten", "net_promoter_score"),
        ("net_promoter_score", 9.5, "net_promoter_score"),
        ("net_promoter_score", True, "net_promoter_score"),
        ("email_sent_date", "2018-01-01", "email_sent_date"),
        ("survey_completed_date", "2018-02-30 00:00:00", "survey_completed_date"),
        ("follow_up_required", "perhaps", "follow_up_required"),
        ("reason_codes", ["x"], "reason_codes.0"),
        ("reason_codes", [1, -1], "reason_codes.1"),
        ("reason_codes", [True], "reason_codes.0"),
        ("fields", {}, "fields"),
        ("fields", {"NetPromoterScore": 9}, "fields"),
        ("fields", {"Phone": "x"}, "fields"),
        ("comment", 5, "comment"),
    ],
)
def test_a_response_is_refused_by_its_fields_name(field: str, value: object, named: str) -> None:
    assert list(refused("response", **{field: value})) == [named]


@pytest.mark.parametrize("value", ["DONE", 100, -1, True])
def test_workflow_status_is_a_standard_or_an_extended_number(value: object) -> None:
    assert "workflow_status" in next(iter(refused("response", workflow_status=value)))


def test_a_field_that_has_a_place_of_its_own_says_where() -> None:
    assert "field net_promoter_score" in refused("response", fields={"NetPromoterScore": 9})["fields"]


# file_delete


@pytest.mark.parametrize("upload_id", [0, -1, "x", 1.5, True, None])
def test_an_upload_is_named_by_its_number(upload_id: object) -> None:
    assert list(refused("file_delete", upload_id=upload_id)) == ["upload_id"]


# file


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("family", "other"),
        ("filename", "a.txt"),
        ("filename", "a"),
        ("filename", "../a.csv"),
        ("filename", 'a".csv'),
        ("filename", "a\n.csv"),
        ("filename", "x" * 125 + ".csv"),
        ("content_base64", 5),
    ],
)
def test_a_file_is_refused_by_its_fields_name(field: str, value: object) -> None:
    assert list(refused("file", **{field: value})) == [field]


def test_a_file_has_one_content() -> None:
    assert "either path, or filename and content_base64" in str(refused("file", path="a.csv"))
    assert "either path, or filename and content_base64" in str(refused("file", content_base64=None))
    assert "filename: required with content_base64" in str(refused("file", filename=None))


def load(content: bytes, filename: str = "a.csv") -> tuple[File, bytes]:
    fields = {"kind": "file", "region": "eu", "family": "contact", "filename": filename}
    job = parse_job(fields | {"content_base64": base64.b64encode(content).decode()})
    assert isinstance(job, File)
    return job.load()


def test_a_loaded_file_knows_its_content_and_carries_it_no_more() -> None:
    job, content = load(b'Email\r\na@b.example\r\n"c\nd@e.example"\r\n')
    assert content.startswith(b"Email")
    assert job.stored is not None
    assert (job.stored.rows, job.stored.size, job.content_base64) == (2, len(content), None)
    assert parse_job_json(job.to_json()) == job


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "empty"),
        (b"Email\n", "header and no row"),
        (b"\n\n", "only blank lines"),
        (b"Email\n" + b"x\n" * 2001, "at most 2,000 rows"),
        (b"Email\n" + b"x" * 500_000 + b"\n" + (b"y" * 500_000 + b"\n") * 4, "at most 2,000 rows and 2,000,000 bytes"),
        (b"Email\n\x00\n", "NUL"),
    ],
    ids=["empty", "header only", "blank", "rows", "bytes", "NUL"],
)
def test_invalid_file_is_refused(content: bytes, expected: str) -> None:
    with pytest.raises(InvalidJob, match=expected) as refusal:
        load(content)
    assert refusal.value.problems[0].field == "content"


def test_invalid_base64_is_refused() -> None:
    job = parse_job({"kind": "file", "region": "eu", "family": "contact", "filename": "a.csv", "content_base64": "%%%"})
    assert isinstance(job, File)
    with pytest.raises(InvalidJob, match="content_base64: expected base64"):
        job.load()


def by_path(path: Path) -> File:
    job = parse_job({"kind": "file", "region": "eu", "family": "contact", "path": str(path)})
    assert isinstance(job, File)
    return job


def test_path_is_read_by_the_process_that_enqueues(tmp_path: Path) -> None:
    (tmp_path / "March.CSV").write_bytes(b"Email\na@b.example\n")
    job, content = by_path(tmp_path / "March.CSV").load()
    assert (job.filename, job.path, content) == ("March.CSV", None, b"Email\na@b.example\n")
    assert job.upload_name.endswith(".csv")
    assert job.upload_name.startswith("March.")


def test_a_path_must_be_a_regular_file(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    for name, expected in {
        "folder.csv": "regular file",
        "pipe.csv": "regular file",
        "nothing.csv": "No such file",
    }.items():
        with pytest.raises(InvalidJob, match=f"path: .*{expected}"):
            by_path(tmp_path / name).load()


def test_two_files_of_one_name_are_sent_under_two_names() -> None:
    names = {load(content)[0].upload_name for content in (b"a\n1\n", b"a\n2\n")}
    assert len(names) == 2


def test_a_job_that_says_it_was_stored_already_is_refused() -> None:
    stored = {"sha256": "0" * 64, "size": 5, "rows": 1, "name": "a.csv"}
    job = parse_job({"kind": "file", "region": "eu", "family": "contact", "filename": "a.csv", "stored": stored})
    assert isinstance(job, File)
    with pytest.raises(InvalidJob, match="stored"):
        job.load()
