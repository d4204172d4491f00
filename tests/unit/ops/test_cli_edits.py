"""What `replay --set` and `--unset` may change, and which calls of operators are refused. Nothing is sent."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from gaugepost.errors import InvalidJob
from gaugepost.ledger import JobView
from gaugepost.regions import Region
from gaugepost.states import JobState
from gaugepost_ops.cli.app import build
from gaugepost_ops.cli.common import Failure
from gaugepost_ops.cli.jobs.edits import read_edits
from support.factories import MAPPING, case, link, record, response


def view(job: Any) -> JobView:
    fields = {"kind": job.kind} | job.model_dump(mode="json", exclude_defaults=True)
    return JobView(id="x", region=Region.EU, state=JobState.DEAD, job=fields, enqueued_at=1, revision=4)


def edited(job: Any, *sets: str, unset: tuple[str, ...] = ()) -> Any:
    return read_edits(sets, unset, None).of(view(job)).job


def test_each_sort_of_field_can_be_set_and_taken_away() -> None:
    assert edited(record(), "record.Account Name=ACME").record == {"Email": "a@b.example", "Account Name": "ACME"}
    assert edited(record(record={"a": "1", "b": "2"}), unset=("record.a",)).record == {"b": "2"}
    assert edited(record(), "record.Phone=").record["Phone"] == ""
    assert edited(record(), "record.a=b=c").record["a"] == "b=c"
    assert edited(record(), "record.Dr. No=1").record["Dr. No"] == "1"
    assert edited(record(), "configuration=other").configuration == "other"
    assert edited(case(1), "number_customergauge=0002").lane == "case:2"
    assert edited(case(1, note="x"), unset=("note",)).note is None
    assert edited(response(), "net_promoter_score=9", "follow_up_required=true").net_promoter_score == 9
    assert edited(response(), "reason_codes=1, 2").reason_codes == (1, 2)
    assert edited(response(), "fields.a=1").fields["a"] == "1"


def test_an_edit_knows_which_revision_it_edits_and_names_the_fields() -> None:
    edit = read_edits(["record.a=secret", "urgent=true"], ["expires_at"], None).of(view(record()))
    assert (edit.revision, edit.fields) == (4, ("record.a", "urgent", "expires_at"))


def test_values_come_from_files_and_stdin_without_their_last_line_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "name").write_bytes("Zoë\nof\r\n".encode())
    monkeypatch.setattr("sys.stdin", io.StringIO("joe@b.example\n"))
    job = edited(record(), f"record.Name=@{tmp_path}/name", "record.Email=-")
    assert job.record == {"Name": "Zoë\nof", "Email": "joe@b.example"}


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        (["kind=secret"], "kind cannot be edited: it defines what the job is"),
        (["region=secret"], "region cannot be edited"),
        (["id=secret"], "id cannot be edited"),
        (["idempotency_key=secret"], "idempotency_key cannot be edited"),
        (["source=secret"], "source cannot be edited"),
        (["stored=secret"], "stored cannot be edited: it belongs to the upload"),
        (["stored.size=secret"], "stored cannot be edited"),
        (["family=secret"], "family cannot be edited"),
        (["upload_id=secret"], "upload_id cannot be edited"),
        (["secret@b.example"], "expected field=value"),
        (["secret@b.example=x"], "expected a field of a job"),
        (["record=secret"], "record.<heading>"),
        (["record.=secret"], "record.<heading>"),
        (["note.a=secret"], "expected a field of a job"),
        (["recrod.Email=secret"], "did you mean record.<heading>?"),
        (["note=secret", "note=secret"], "note: is given more than once"),
        (["record.a=-", "record.b=-"], "stdin can give one value only"),
        (["record.a=@/nowhere"], "/nowhere cannot be read (FileNotFoundError)"),
    ],
    ids=str,
)
def test_forbidden_edit_is_refused_with_a_reason_and_without_its_value(
    sets: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("secret"))
    with pytest.raises(Failure) as refused:
        read_edits(sets, [], None)
    assert refused.value.code == 2
    assert message in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_value_may_be_long_but_not_endless(tmp_path: Path) -> None:
    (tmp_path / "long").write_text("x" * 1_000_001)
    with pytest.raises(Failure, match="at most 1,000,000 characters"):
        read_edits([f"note=@{tmp_path}/long"], [], None)


@pytest.mark.parametrize(
    ("job", "sets", "unset", "message"),
    [
        (record(), ["record.email=secret"], [], "record.email: the job has record.Email"),
        (record(), ["note=secret"], [], "note: unknown key"),
        (case(), ["record.a=secret"], [], "record: unknown key"),
        (record(), ["record.Phone=secret"], [], "Phone: expected digits"),
        (link(), [], ["record.Email"], "record: expected it not to be empty"),
        (record(), [], ["configuration"], "configuration: required"),
        (response(), ["net_promoter_score=11"], [], "net_promoter_score"),
    ],
    ids=str,
)
def test_edited_job_is_checked_as_a_new_one(job: Any, sets: list[str], unset: list[str], message: str) -> None:
    with pytest.raises(InvalidJob) as refused:
        read_edits(sets, unset, None).of(view(job))
    assert message in str(refused.value)
    assert "secret" not in str(refused.value)
    assert MAPPING not in str(refused.value)


@pytest.mark.parametrize(
    "call",
    [
        ("replay",),
        ("replay", "--state", "dead"),
        ("replay", "--region", "eu"),
        ("replay", "--state", "queued", "--region", "eu"),
        ("replay", "x", "--state", "dead", "--region", "eu"),
        ("replay", "x", "--limit", "3"),
        ("hold", "eu", "--reason", " "),
        ("hold", "eu", "--reason", "x", "--until", "tomorrow"),
        ("hold", "eu", "--reason", "x", "--until", "2099-01-01T00:00:00"),
    ],
    ids=" ".join,
)
def test_ambiguous_call_is_refused_before_redis_is_asked(call: tuple[str, ...], bare_environment: Path) -> None:
    assert build()(list(call), standalone_mode=False) == 2
