"""Verdicts on answers of v4.1, in JSON and XML; refusals of a second attempt as already done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gaugepost.verdict import Verdict
from gaugepost_tasks.answers.verdicts import ALREADY_DONE

if TYPE_CHECKING:
    from collections.abc import Callable

    from gaugepost.jobs import AnyJob
    from gaugepost_tasks.http_messages import Answer, Judgement

    MakeJob = Callable[..., AnyJob]
    MakeAnswer = Callable[..., Answer]
    Judge = Callable[..., Judgement]

V = Verdict
V41_TEXT = "Field email is required but seems to be empty."
V41 = ("response", "file", "file_delete")
DUPLICATES = (
    "Record could not be imported because it duplicates with another record.",
    "Personal link record could not be created because it duplicates with another record.",
)


def refusal_body(text: str, **errors: object) -> dict[str, object]:
    return {"message": text} | ({"errors": errors} if errors else {})


def v41(code: object, text: str = "", wrapped: bool = True) -> dict[str, object]:
    inner = {"Message": text, "Code": code}
    return {"Error": inner} if wrapped else inner


# v4.1.


@pytest.mark.parametrize("kind", V41)
@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        (b'{"Data": {"data": 1}}', V.DELIVERED),
        (b"<Data>true</Data>", V.DELIVERED),
        (b"\xef\xbb\xbf <?xml version='1.0'?><Data><id>63</id></Data>", V.DELIVERED),
        (b"<response><Data>1</Data></response>", V.DELIVERED),
        (b'{"Data": false}', V.UNRECOGNISED_200),
        (b'{"Data": 0}', V.UNRECOGNISED_200),
        (b'{"Data": "no"}', V.UNRECOGNISED_200),
        (b"<Data>false</Data>", V.UNRECOGNISED_200),
        (b'{"Error": "Something"}', V.UNRECOGNISED_200),
        (b'{"Error": {"Message": "Something", "Code": 499999}}', V.UNRECOGNISED_200),
        (b'{"Message": "id not found", "Code": 400005}', V.UNRECOGNISED_200),
        (b'{"Data": true, "Error": {"Code": 300001}}', V.INVALID_VALUE),
    ],
)
def test_success_of_v41_is_judged_by_its_body(
    job: MakeJob, answer: MakeAnswer, judged: Judge, kind: str, body: object, verdict: Verdict
) -> None:
    assert judged(job(kind), answer(200, body)).verdict is verdict


@pytest.mark.parametrize("kind", V41)
@pytest.mark.parametrize(
    "body",
    [
        b'{"Data": null}',
        b'{"Error": null, "Data": []}',
        b"<Data/>",
        b"<Data>null</Data>",
        b"",
        b"{}",
        b"null",
        b'{"message": "Created"}',
        b'Notice: Undefined index in /var/www/api.php on line 7\n{"Data": true}',
        b'{"Error": {}}',
        b"<html><Data/></html",
        b"<?xml version='1.0' encoding='x-none'?><Data>1</Data>",
        b'<!DOCTYPE d [<!ENTITY e "1">]><Data>&e;</Data>',
    ],
)
def test_empty_success_of_v41_may_have_worked(
    job: MakeJob, answer: MakeAnswer, judged: Judge, kind: str, body: object
) -> None:
    expected = V.UNREADABLE_SUCCESS if kind == "file_delete" else V.LOST_ANSWER
    assert judged(job(kind), answer(200, body)).verdict is expected


@pytest.mark.parametrize("kind", V41)
@pytest.mark.parametrize(
    ("code", "text", "verdict"),
    [
        (300004, "", V.MISSING_FIELD),
        (400003, V41_TEXT, V.MISSING_FIELD),
        (400010, "Field CGNumber is required but seems to be empty", V.MISSING_FIELD),
        (None, V41_TEXT.upper(), V.MISSING_FIELD),
        (400003, "Failed to insert record", V.UNRECOGNISED_400),
        (300001, "", V.INVALID_VALUE),
        ("400007", "", V.INVALID_VALUE),
        (400008, "", V.INVALID_VALUE),
        (400011, "Workflow status does not exist", V.INVALID_VALUE),
        (300000, "Too many params supplied", V.UNRECOGNISED_400),
        (True, "x", V.UNRECOGNISED_400),
        ("9" * 5000, "x", V.UNRECOGNISED_400),
    ],
)
def test_v41_codes_are_read_in_json_and_xml(
    job: MakeJob, answer: MakeAnswer, judged: Judge, kind: str, code: object, text: str, verdict: Verdict
) -> None:
    assert judged(job(kind), answer(400, v41(code, text))).verdict is verdict
    assert judged(job(kind), answer(400, v41(code, text, wrapped=False))).verdict is verdict
    inner = f"<Message>{text}</Message><Code>{'' if code is None else code}</Code>".encode()
    assert judged(job(kind), answer(400, b"<Error>%b</Error>" % inner)).verdict is verdict
    assert judged(job(kind), answer(400, b"<response><Error>%b</Error></response>" % inner)).verdict is verdict
    assert judged(job(kind), answer(400, b"<response>%b</response>" % inner)).verdict is verdict


def test_documented_error_with_invalid_json_is_judged(job: MakeJob, answer: MakeAnswer, judged: Judge) -> None:
    body = b'{"Error":{"No data provided","Code":400700}}'
    assert judged(job("file"), answer(400, body)).verdict is V.SERVER_ERROR


def test_v41_refuses_without_a_reason_too(job: MakeJob, answer: MakeAnswer, judged: Judge) -> None:
    got = judged(job("response"), answer(400, {"Data": False}))
    assert (got.verdict, got.message) == (V.UNRECOGNISED_400, "Data is false, without a reason")
    assert judged(job("file_delete"), answer(400, {"Data": True})).verdict is V.SERVER_ERROR


def test_only_a_file_is_a_duplicate_by_its_code(job: MakeJob, answer: MakeAnswer, judged: Judge) -> None:
    assert judged(job("response"), answer(400, v41(400103, "x"))).verdict is V.UNRECOGNISED_400


# After a lost answer.


@pytest.mark.parametrize(
    ("kind", "status", "body"),
    [
        ("file", 400, v41(400103, "This upload has already been processed")),
        ("file_delete", 400, v41(400200, "File not found")),
        ("file_delete", 404, {"Message": "FILE not found."}),
    ],
)
def test_duplicate_after_unclear_attempt_is_delivered(
    job: MakeJob, answer: MakeAnswer, judged: Judge, kind: str, status: int, body: object
) -> None:
    got = judged(job(kind), answer(status, body), may_be_done=True)
    assert (got.verdict, got.warnings) == (V.DELIVERED, (ALREADY_DONE,))
    assert judged(job(kind), answer(status, body)).verdict is not V.DELIVERED


def test_a_duplicate_link_stays_a_duplicate_for_the_policy_to_decide(
    job: MakeJob, answer: MakeAnswer, judged: Judge
) -> None:
    got = judged(job("personal_link"), answer(400, refusal_body(DUPLICATES[1])), may_be_done=True)
    assert got.verdict is V.DUPLICATE
