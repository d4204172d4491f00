"""Check what all kinds share: a refusal names the field, and never its value."""

from __future__ import annotations

import json
import string
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaugepost.errors import InvalidJob
from gaugepost.jobs import JOBS, parse_job, parse_job_json, schema

EXAMPLES: dict[str, dict[str, Any]] = {
    "record": {
        "kind": "record",
        "region": "eu",
        "configuration": "5350",
        "record": {"Account Name": "ACME", "Email": "joe.doe@example.com", "NPS Score": "10"},
    },
    "personal_link": {
        "kind": "personal_link",
        "region": "us",
        "configuration": "5350",
        "record": {"Email": "joe.doe@example.com"},
        "idempotency_key": "ticket-991",
    },
    "close_loop": {
        "kind": "close_loop",
        "region": "eu",
        "number_customergauge": "53499",
        "status": "progress",
        "note": "…",
        "assignee": "john.doe@company.com",
        "happened_at": "2023-07-31 08:50:15",
    },
    "response": {
        "kind": "response",
        "region": "au",
        "fields": {"CustomerNumber": "1143", "Email": "lee@example.net"},
        "net_promoter_score": 9,
        "comment": "…",
        "email_sent_date": "2018-01-01 13:59:12",
        "survey_completed_date": "2018-01-01 13:59:12",
        "follow_up_required": True,
        "workflow_status": "CLOSED",
        "reason_codes": [10000, 10020],
    },
    "file": {
        "kind": "file",
        "region": "eu",
        "family": "transactional",
        "filename": "march.csv",
        "content_base64": "ZW1haWwKYUBiLmMK",
    },
    "file by path": {"kind": "file", "region": "eu", "family": "contact", "path": "exports/contacts.xlsx"},
    "file_delete": {"kind": "file_delete", "region": "eu", "upload_id": 12},
}

kinds = pytest.mark.parametrize("job_fields", EXAMPLES.values(), ids=EXAMPLES.keys())


def refusal(job_fields: dict[str, Any]) -> dict[str, str]:
    """Parse what must be refused; return field → what was expected. Both ways of parsing must agree on the fields."""
    with pytest.raises(InvalidJob) as refused:
        parse_job(job_fields)
    with pytest.raises(InvalidJob) as refused_as_text:
        parse_job_json(json.dumps(job_fields))
    fields = {problem.field: problem.expected for problem in refused.value.problems}
    assert fields.keys() == {problem.field for problem in refused_as_text.value.problems}
    return fields


@kinds
def test_documented_examples_are_accepted(job_fields: dict[str, Any]) -> None:
    job = parse_job(job_fields)
    assert job == parse_job_json(json.dumps(job_fields))
    assert type(job) is JOBS[job_fields["kind"]]
    assert json.loads(job.to_json()) == job_fields


@kinds
def test_a_job_comes_back_from_its_json_as_it_was(job_fields: dict[str, Any]) -> None:
    more = {"source": "crm", "labels": ["a", "b"], "urgent": True, "on_unknown": "hold"}
    more |= {"expires_at": "2030-01-01T00:00:00+02:00", "idempotency_key": "k"}
    job = parse_job(job_fields | more)
    assert parse_job_json(job.to_json()) == job
    assert job.expires_at == datetime(2029, 12, 31, 22, tzinfo=UTC)


@kinds
def test_an_unknown_key_is_refused_with_the_near_one(job_fields: dict[str, Any]) -> None:
    assert refusal(job_fields | {"idempotency_kay": "x"}) == {
        "idempotency_kay": "unknown key; did you mean idempotency_key?"
    }
    assert refusal(job_fields | {"zzz": "x"}) == {"zzz": "unknown key"}


@kinds
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("region", "mars"),
        ("region", None),
        ("idempotency_key", ""),
        ("idempotency_key", "x" * 201),
        ("idempotency_key", 12),
        ("expires_at", "2030-01-01T00:00:00"),
        ("expires_at", "tomorrow"),
        ("source", "a service"),
        ("source", "x" * 65),
        ("urgent", "perhaps"),
        ("on_unknown", "give up"),
        ("labels", ["x"] * 11),
        ("labels", "x"),
    ],
)
def test_common_fields_are_refused_by_name(job_fields: dict[str, Any], field: str, value: object) -> None:
    assert list(refusal(job_fields | {field: value})) == [field]


@pytest.mark.parametrize("label", ["", "x" * 65, 7])
def test_a_label_is_refused_by_its_place(label: object) -> None:
    assert list(refusal(EXAMPLES["record"] | {"labels": ["fine", label]})) == ["labels.1"]


@kinds
def test_a_missing_region_is_required(job_fields: dict[str, Any]) -> None:
    assert refusal({name: value for name, value in job_fields.items() if name != "region"}) == {"region": "required"}


def test_kind_is_required_and_must_exist() -> None:
    assert refusal({"region": "eu"}) == {"kind": "required"}
    expected = refusal({"kind": "recrod", "region": "eu"})["kind"]
    assert all(kind in expected for kind in JOBS)


@pytest.mark.parametrize("text", ["", "{", "nonsense", b"\xff", '{"kind": "record"', "[1"])
def test_invalid_json_is_refused_as_such(text: str | bytes) -> None:
    with pytest.raises(InvalidJob) as refused:
        parse_job_json(text)
    assert str(refused.value) == "expected one JSON object"


@pytest.mark.parametrize("data", [[], "record", 5, None])
def test_json_that_is_no_object_is_refused(data: object) -> None:
    with pytest.raises(InvalidJob):
        parse_job(data)
    with pytest.raises(InvalidJob):
        parse_job_json(json.dumps(data))


def test_all_errors_are_reported_at_once() -> None:
    job_fields = {"kind": "close_loop", "region": "mars", "number_customergauge": "x", "status": "done"}
    assert list(refusal(job_fields)) == ["region", "number_customergauge", "status"]


@kinds
def test_an_accepted_job_cannot_be_changed(job_fields: dict[str, Any]) -> None:
    job = parse_job(job_fields)
    with pytest.raises(ValueError, match="frozen"):
        job.urgent = True  # type: ignore[misc]


def test_kinds_have_the_documented_urgency_and_at_most_once_rule() -> None:
    jobs = {name: parse_job(job_fields) for name, job_fields in EXAMPLES.items()}
    assert {name for name, job in jobs.items() if job.urgent} == {"personal_link"}
    assert {name for name, job in jobs.items() if job.once} == {"response", "file", "file by path"}
    assert {name for name, job in jobs.items() if job.needs == "api_key"} == {
        "response",
        "file",
        "file by path",
        "file_delete",
    }
    assert {name for name, job in jobs.items() if job.mapping} == {"record", "personal_link"}
    assert {name for name, job in jobs.items() if job.lane} == {"close_loop", "file", "file by path"}


def test_the_schema_describes_every_kind() -> None:
    found = schema()
    assert set(found["discriminator"]["mapping"]) == set(JOBS)
    assert "2020-12" in found["$schema"]


MARK = "Zq9"
wrong = st.one_of(
    st.text(string.ascii_letters + "@. ", max_size=20).map(lambda text: MARK + text),
    st.lists(st.just(MARK), min_size=1, max_size=2),
    st.dictionaries(st.just("a"), st.just(MARK), min_size=1),
)


@given(st.sampled_from(sorted(EXAMPLES)), st.data())
def test_a_refusal_never_holds_a_value_of_the_job(name: str, data: st.DataObject) -> None:
    job_fields = dict(EXAMPLES[name])
    fields = sorted(set(JOBS[job_fields["kind"]].model_fields) - {"kind"})
    for field in data.draw(st.lists(st.sampled_from(fields), min_size=1, max_size=3, unique=True)):
        job_fields[field] = data.draw(wrong)
    if job_fields.get("record") or job_fields.get("fields"):
        cells = data.draw(
            st.dictionaries(st.sampled_from(["Phone", "NPS Score", "Sent Date", "Email"]), wrong, min_size=1)
        )
        job_fields["record" if "record" in job_fields else "fields"] = cells
    for call, given_data in ((parse_job, job_fields), (parse_job_json, json.dumps(job_fields))):
        assert MARK not in _refusal_text(call, given_data)


def _refusal_text(call: Callable[[Any], object], data: object) -> str:
    """Return a refusal's text with its causes; return nothing if the job was accepted."""
    try:
        call(data)
    except InvalidJob as refused:
        return "".join(traceback.format_exception(refused))
    return ""


def test_every_schema_field_has_a_description_and_limits() -> None:
    known = {"ge", "le", "gt", "lt"}  # pydantic's own words, which JSON Schema does not know
    for kind, model in JOBS.items():
        for name, field in model.model_json_schema()["properties"].items():
            assert name == "kind" or field["description"], f"{kind}.{name}"
            assert not known & {word for part in (field, *field.get("anyOf", ())) for word in part}, f"{kind}.{name}"
    score = JOBS["response"].model_json_schema()["properties"]["net_promoter_score"]["anyOf"][0]
    assert (score["minimum"], score["maximum"]) == (0, 10)


LONG = 10**5_000
NOT_UTF8 = "expected text that can be encoded as UTF-8: no lone surrogates"
TOO_LONG = "expected a whole number of at most 100 digits"


@pytest.mark.parametrize(
    ("kind", "field", "value", "message"),
    [
        ("record", "record", {"Number": LONG}, f"record: Number: {TOO_LONG}"),
        ("record", "record", {"Number": -LONG}, f"record: Number: {TOO_LONG}"),
        ("response", "fields", {"Number": LONG}, f"fields: Number: {TOO_LONG}"),
        ("response", "reason_codes", [LONG], f"reason_codes.0: {TOO_LONG}"),
        ("file_delete", "upload_id", LONG, f"upload_id: {TOO_LONG}"),
        ("file_delete", "upload_id", "9" * 5_000, f"upload_id: {TOO_LONG}"),
        ("close_loop", "number_customergauge", LONG, "number_customergauge: expected the number of a survey response"),
        ("record", "record", {"Email": "\ud800"}, f"record: Email: {NOT_UTF8}"),
        ("record", "configuration", "\udfff", f"configuration: {NOT_UTF8}"),
        ("record", "labels", ["\ud800"], f"labels.0: {NOT_UTF8}"),
        ("close_loop", "note", "\ud800", f"note: {NOT_UTF8}"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isascii() and len(value) < 40 else "",
)
def test_value_that_cannot_be_kept_is_refused_by_name(kind: str, field: str, value: object, message: str) -> None:
    example = EXAMPLES[kind] | {field: value}
    with pytest.raises(InvalidJob, match=f"^{message}"):
        parse_job(example)
    with pytest.raises(InvalidJob, match=f"^{message}"):
        JOBS[kind](**{name: value for name, value in example.items() if name != "kind"})


@pytest.mark.parametrize(
    ("cell", "message"),
    [("9" * 5_000, TOO_LONG), ("-" + "9" * 5_000, TOO_LONG), (r'"\ud800"', NOT_UTF8)],
    ids=["long number", "long negative number", "lone surrogate"],
)
def test_json_with_a_value_that_cannot_be_kept_is_refused_by_name(cell: str, message: str) -> None:
    text = f'{{"kind": "record", "region": "eu", "configuration": "5350", "record": {{"Cell": {cell}}}}}'
    with pytest.raises(InvalidJob, match=f"^record: Cell: {message}"):
        parse_job_json(text)
    with pytest.raises(InvalidJob, match=f"^record: Cell: {message}"):
        parse_job_json(text.encode())


@pytest.mark.parametrize("kind", JOBS)
def test_wrong_job_raises_invalid_job_however_it_is_made(kind: str) -> None:
    wrong = {"region": "eu", "colour": "red"}
    for make in (
        lambda: JOBS[kind](**wrong),
        lambda: JOBS[kind].model_validate(wrong),
        lambda: JOBS[kind].model_validate_json(json.dumps(wrong)),
    ):
        with pytest.raises(InvalidJob, match="colour: unknown key") as refused:
            make()
        assert isinstance(refused.value, ValueError)
