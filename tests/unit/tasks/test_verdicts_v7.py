"""Verdicts on answers of v7 and the imports API: links, parts of a status change, field errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gaugepost.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from gaugepost.jobs import AnyJob
    from gaugepost_tasks.http_messages import Answer, Judgement

    MakeJob = Callable[..., AnyJob]
    MakeAnswer = Callable[..., Answer]
    Judge = Callable[..., Judgement]

V = Verdict
LINKS = {
    "number_customergauge": 12345,
    "survey_link": "https://survey.eu.customergauge.com/r/987656abcdef",
    "survey_link_short": "https://cust.xx/987656abcdef",
}


def refusal_body(text: str, **errors: object) -> dict[str, object]:
    return {"message": text} | ({"errors": errors} if errors else {})


# Records and personal links.


@pytest.mark.parametrize("status", [200, 201, 202, 204])
@pytest.mark.parametrize("body", [b"", b" \r\n", b"{}", b"null", b'{"message": "Created"}'])
def test_a_record_is_delivered_by_any_success(
    job: MakeJob, answer: MakeAnswer, judged: Judge, status: int, body: object
) -> None:
    assert judged(job("record"), answer(status, body)).verdict is V.DELIVERED


def test_record_success_with_body_gives_warning_without_data(job: MakeJob, answer: MakeAnswer, judged: Judge) -> None:
    said_back = {"status": "joe.doe@example.com", "Email": ["x"], "joe.doe@example.com": 1, "x" * 500: 2}
    (warning,) = judged(job("record"), answer(200, said_back)).warnings
    assert ": status, Email, " in warning
    assert "joe.doe" not in warning
    assert len(warning) < 300
    assert judged(job("record"), answer(200, b"[1]")).warnings != ()
    assert judged(job("record"), answer(200, b" \r\n")).warnings == ()


@pytest.mark.parametrize("kind", ["record", "personal_link", "close_loop", "response", "file", "file_delete"])
@pytest.mark.parametrize("text", ["Unauthenticated.", "unauthenticated", " UNAUTHENTICATED. "])
def test_success_that_says_unauthenticated_is_a_refusal(
    job: MakeJob, answer: MakeAnswer, judged: Judge, kind: str, text: str
) -> None:
    refused = answer(200, refusal_body(text))
    assert judged(job(kind), refused, fresh_token=True).verdict is V.REFUSED_CREDENTIALS
    first = V.UNAUTHENTICATED if job(kind).needs == "oauth" else V.REFUSED_CREDENTIALS
    assert judged(job(kind), refused).verdict is first


@pytest.mark.parametrize("body", [b"[unauthenticated", b'["unauthenticated"]', {"message": "No unauthenticated calls"}])
def test_word_alone_is_no_refusal(job: MakeJob, answer: MakeAnswer, judged: Judge, body: object) -> None:
    assert judged(job("record"), answer(200, body)).verdict in {V.DELIVERED, V.UNREADABLE_SUCCESS}


def test_success_with_field_errors_is_a_refusal(job: MakeJob, answer: MakeAnswer, judged: Judge) -> None:
    assert judged(job("record"), answer(200, refusal_body("Hm", Email=["bad"]))).verdict is V.UNRECOGNISED_200


def test_a_link_is_the_result_and_its_number_may_come_as_text(job: MakeJob, answer: MakeAnswer, judged: Judge) -> None:
    link = job("personal_link")
    assert judged(link, answer(201, {"data": LINKS})).result == LINKS
    got = judged(link, answer(200, {"data": LINKS | {"number_customergauge": "12345"}}))
    assert link.read_result(dict(got.result)).number_customergauge == 12345


def test_links_without_a_number_are_kept(job: MakeJob, answer: MakeAnswer, judged: Judge) -> None:
    got = judged(job("personal_link"), answer(200, {"data": LINKS | {"number_customergauge": None}}))
    assert (got.verdict, got.result) == (V.DELIVERED, {name: LINKS[name] for name in list(LINKS)[1:]})


@pytest.mark.parametrize("data", [None, [], {}, LINKS | {"survey_link": ""}, LINKS | {"survey_link_short": None}])
def test_success_without_link_is_unreadable(job: MakeJob, answer: MakeAnswer, judged: Judge, data: object) -> None:
    assert judged(job("personal_link"), answer(200, {"data": data})).verdict is V.UNREADABLE_SUCCESS


# Fields.


@pytest.mark.parametrize(
    ("errors", "verdict"),
    [
        ({"Last Name": ["The Last Name field is required."]}, V.MISSING_FIELD),
        ({"record.Last Name": ["is REQUIRED"]}, V.MISSING_FIELD),
        ({"Email": ["The Email field is required."]}, V.MAPPING_DRIFT),
        ({"record.email": "The email field is required."}, V.MAPPING_DRIFT),
        ({"record": ["The record field is required."]}, V.MAPPING_DRIFT),
        ({"Phone": ["The Phone field is required when Email is not present."]}, V.MAPPING_DRIFT),
        ({"Phone": ["The Phone field is required when none of Fax / Email are present."]}, V.MAPPING_DRIFT),
        ({"Phone": ["The Phone field is required when Fax / Telex are not present."]}, V.MISSING_FIELD),
        ({"Phone": ["The Phone field is required when Email is present."]}, V.MISSING_FIELD),
        ({"Empty": ["The Empty field is required."], "Blank": ["required"]}, V.MISSING_FIELD),
        ({"Zero": ["The Zero field is required."]}, V.MAPPING_DRIFT),
        ({"Email": ["must be valid"], "Last Name": ["The Last Name field is required."]}, V.MISSING_FIELD),
        ({"Email": ["The Email field is required."], "Last Name": ["required"]}, V.MAPPING_DRIFT),
        ({"Email": ["must be valid", 5, None]}, V.INVALID_VALUE),
        ({"Email": []}, V.UNRECOGNISED_422),
        ([], V.UNRECOGNISED_422),
    ],
)
def test_422_verdict_depends_on_the_fields_of_the_job(
    job: MakeJob, answer: MakeAnswer, judged: Judge, errors: object, verdict: Verdict
) -> None:
    cells = {"Email": "a@b.cd", "Empty": None, "Blank": "  ", "Zero": 0}
    got = judged(job("record", record=cells), answer(422, {"message": "The given data was invalid.", "errors": errors}))
    assert got.verdict is verdict


def test_422_without_field_errors_is_judged_by_message(job: MakeJob, answer: MakeAnswer, judged: Judge) -> None:
    record = job("record")
    assert judged(record, answer(422, refusal_body("The Last Name field is required."))).verdict is V.MISSING_FIELD
    assert judged(record, answer(422, refusal_body("The Account Name field is required."))).verdict is V.MAPPING_DRIFT


def test_kept_refusal_has_no_personal_data(job: MakeJob, answer: MakeAnswer, judged: Judge) -> None:
    body = refusal_body(
        "joe.doe@example.com of Acme (+31 20 123 4567) is bad", Email=["joe.doe@example.com is bad: jane@x.org"]
    )
    got = judged(job("record"), answer(422, body))
    assert got.message == "[…] of […] ([…]) is bad"
    assert got.field_errors == {"Email": ("[…] is bad: […]",)}


def test_configuration_named_like_a_heading_redacts_no_heading(job: MakeJob, answer: MakeAnswer, judged: Judge) -> None:
    text = "The Account Name field is required."
    body = refusal_body(text, **{"Account Name": [text]})
    got = judged(job("record", configuration="account", record={"Email": "a@b.cd"}), answer(422, body))
    assert (got.message, got.field_errors) == (text, {"Account Name": (text,)})


# Close the loop.


def test_refused_part_is_named_in_a_warning(job: MakeJob, answer: MakeAnswer, judged: Judge) -> None:
    case = job("close_loop", assignee="john.doe@company.com")
    got = judged(case, answer(200, {"data": {"status": True, "note": True, "assignee": False}}))
    assert (got.verdict, got.warnings) == (V.DELIVERED_IN_PART, ("CustomerGauge did not accept the assignee",))
    assert case.read_result(dict(got.result)).note


def test_a_part_that_was_not_sent_may_be_false(job: MakeJob, answer: MakeAnswer, judged: Judge) -> None:
    case = job("close_loop", note=None)
    for note in ({"note": False}, {"note": None}, {}):
        got = judged(case, answer(200, {"data": {"status": True, "assignee": False} | note}))
        assert (got.verdict, got.warnings) == (V.DELIVERED, ())


@pytest.mark.parametrize("data", [True, None, {}, {"note": True}])
def test_success_without_the_status_of_the_change_is_not_readable(
    job: MakeJob, answer: MakeAnswer, judged: Judge, data: object
) -> None:
    assert judged(job("close_loop"), answer(200, {"data": data})).verdict is V.UNREADABLE_SUCCESS
