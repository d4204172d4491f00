"""The documented answers word for word, then verdicts by status, then records, links and cases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gaugepost.verdict import Verdict
from gaugepost_tasks.answers.verdicts import cap_retry_after
from gaugepost_tasks.endpoints.handlers import HANDLERS
from gaugepost_tasks.http_messages import Answer, Judgement

if TYPE_CHECKING:
    from collections.abc import Callable

    from gaugepost.jobs import AnyJob

    MakeJob = Callable[..., AnyJob]
    MakeAnswer = Callable[..., Answer]
    Judge = Callable[..., Judgement]

V = Verdict
LINKS = {
    "number_customergauge": 12345,
    "survey_link": "https://survey.eu.customergauge.com/r/987656abcdef",
    "survey_link_short": "https://cust.xx/987656abcdef",
}
NO_CAMPAIGN = "Could not match any campaign filter."
DUPLICATES = (
    "Record could not be imported because it duplicates with another record.",
    "Personal link record could not be created because it duplicates with another record.",
)
NO_CONFIGURATION = "The configuration field is required."
MAPPING_GONE = "The inbound mapping [$value] was not found."
WRONG_TYPE = (
    "The inbound mapping [abcdefgh-1234-5678-ijkl-mnopqrstuvwx] data type is invalid, "
    "only 'Multi-Object' or 'Survey Data' are allowed."
)
V41_TEXT = "Field email is required but seems to be empty."
MAPPED = ("record", "personal_link")
V41 = ("response", "file", "file_delete")


def refusal_body(text: str, **errors: object) -> dict[str, object]:
    return {"message": text} | ({"errors": errors} if errors else {})


def v41(code: object, text: str = "", wrapped: bool = True) -> dict[str, object]:
    inner = {"Message": text, "Code": code}
    return {"Error": inner} if wrapped else inner


# The documented answers, word for word.


@pytest.mark.parametrize(
    ("kind", "status", "body", "verdict"),
    [
        ("record", 200, b"", V.DELIVERED),
        ("record", 422, refusal_body("The given data was invalid.", configuration=[NO_CONFIGURATION]), V.MAPPING_DRIFT),
        ("personal_link", 200, {"data": LINKS}, V.DELIVERED),
        ("personal_link", 400, refusal_body(NO_CAMPAIGN), V.NO_CAMPAIGN),
        ("personal_link", 400, refusal_body(DUPLICATES[0]), V.DUPLICATE),
        ("personal_link", 400, refusal_body(DUPLICATES[1]), V.DUPLICATE),
        ("personal_link", 404, refusal_body(MAPPING_GONE), V.UNKNOWN_MAPPING),
        ("personal_link", 422, refusal_body(WRONG_TYPE, configuration=[WRONG_TYPE]), V.WRONG_MAPPING_TYPE),
        (
            "personal_link",
            422,
            refusal_body(
                "The Email field is required when Phone is not present. (and 1 more error)",
                Email=["The Email field is required when Phone is not present."],
                Phone=["The Phone field is required when Email is not present."],
            ),
            V.MAPPING_DRIFT,
        ),
        (
            "personal_link",
            422,
            refusal_body(
                "The Email must be a valid email address.", Email=["The Email must be a valid email address."]
            ),
            V.INVALID_VALUE,
        ),
        ("close_loop", 200, {"data": {"status": True, "note": True, "assignee": True}}, V.DELIVERED),
        ("close_loop", 401, refusal_body("Unauthenticated."), V.UNAUTHENTICATED),
        (
            "close_loop",
            422,
            refusal_body(
                "The number customergauge field is required.",
                number_customergauge=["The number customergauge field is required."],
            ),
            V.MAPPING_DRIFT,
        ),
        ("response", 200, {"Data": True}, V.DELIVERED),
        ("response", 400, v41(400003, V41_TEXT), V.MISSING_FIELD),
        ("file", 400, v41(400103, "This upload has already been processed"), V.DUPLICATE),
        ("file_delete", 200, {"Data": True}, V.DELIVERED),
        ("file_delete", 400, v41(400200, "File not found"), V.UNRECOGNISED_400),
    ],
)  # fmt: skip
def test_each_documented_answer_has_its_verdict(
    job: MakeJob, answer: MakeAnswer, judged: Judge, kind: str, status: int, body: object, verdict: Verdict
) -> None:
    assert judged(job(kind), answer(status, body)).verdict is verdict


@pytest.mark.parametrize(
    ("kind", "status", "text", "verdict"),
    [
        ("personal_link", 400, NO_CAMPAIGN.upper(), V.NO_CAMPAIGN),
        ("personal_link", 400, "Could not match  any\ncampaign filter. (and 1 more error)", V.NO_CAMPAIGN),
        ("personal_link", 400, DUPLICATES[0].upper() + " Sorry.", V.DUPLICATE),
        ("record", 404, "Oh: the INBOUND mapping [1-2] was not found. (and 1 more error)", V.UNKNOWN_MAPPING),
        ("record", 422, WRONG_TYPE.lower() + " (and 1 more error)", V.WRONG_MAPPING_TYPE),
    ],
)
def test_texts_match_in_any_case_and_with_more_text(
    job: MakeJob, answer: MakeAnswer, judged: Judge, kind: str, status: int, text: str, verdict: Verdict
) -> None:
    assert judged(job(kind), answer(status, refusal_body(text))).verdict is verdict


def test_a_wrong_mapping_type_is_seen_in_the_field_errors_alone(
    job: MakeJob, answer: MakeAnswer, judged: Judge
) -> None:
    body = refusal_body("The given data was invalid.", configuration=[WRONG_TYPE])
    assert judged(job("record"), answer(422, body)).verdict is V.WRONG_MAPPING_TYPE


@pytest.mark.parametrize("kind", ["record", "close_loop"])
def test_a_text_of_another_endpoint_is_not_recognised(
    job: MakeJob, answer: MakeAnswer, judged: Judge, kind: str
) -> None:
    assert judged(job(kind), answer(400, refusal_body(NO_CAMPAIGN))).verdict is V.UNRECOGNISED_400
    assert judged(job("close_loop"), answer(404, refusal_body(MAPPING_GONE))).verdict is V.UNRECOGNISED_404


@pytest.mark.parametrize("link", ["javascript:alert(1)", "JavaScript:alert(1)", " data:text/html,x", "survey", ""])
@pytest.mark.parametrize("name", ["survey_link", "survey_link_short"])
def test_link_that_is_not_http_is_not_delivered(
    job: MakeJob, answer: MakeAnswer, judged: Judge, name: str, link: str
) -> None:
    got = judged(job("personal_link"), answer(200, {"data": LINKS | {name: link}}))
    assert got.verdict is not V.DELIVERED
    assert not got.result


# The transport and the status.


@pytest.mark.parametrize("kind", HANDLERS)
@pytest.mark.parametrize(("failure", "verdict"), [("unreachable", V.UNREACHABLE), ("lost_answer", V.LOST_ANSWER)])
def test_failed_exchange_keeps_its_failure_as_verdict(
    job: MakeJob, judged: Judge, kind: str, failure: str, verdict: Verdict
) -> None:
    got = judged(job(kind), Answer(None, failure=failure, detail="timed out (TimeoutError)"))
    assert (got.verdict, got.message) == (verdict, "timed out (TimeoutError)")


@pytest.mark.parametrize("kind", HANDLERS)
@pytest.mark.parametrize("on_unknown", ["retry", "hold"])
@pytest.mark.parametrize("status", [301, 302, 307, 408, 423, 425, 500, 503, 520, 524, 599, 100, 304])
def test_server_error_may_have_worked_for_jobs_sent_once(
    job: MakeJob, answer: MakeAnswer, judged: Judge, kind: str, on_unknown: str, status: int
) -> None:
    must_not_go_twice = kind in {"response", "file"} or on_unknown == "hold"
    unclear = must_not_go_twice and status not in {423, 425}
    got = judged(job(kind, on_unknown=on_unknown), answer(status, {"Data": True, "data": LINKS}))
    assert (got.verdict, got.message) == (V.LOST_ANSWER if unclear else V.SERVER_ERROR, f"HTTP {status}")


@pytest.mark.parametrize("kind", HANDLERS)
@pytest.mark.parametrize("status", [502, 504])
def test_gateway_error_is_a_lost_answer(
    job: MakeJob, answer: MakeAnswer, judged: Judge, kind: str, status: int
) -> None:
    got = judged(job(kind), answer(status, b"<html>Bad Gateway</html>"))
    assert (got.verdict, got.message) == (V.LOST_ANSWER, f"HTTP {status}")


def test_neither_a_status_nor_a_failure_is_a_lost_answer(job: MakeJob, judged: Judge) -> None:
    assert judged(job("record"), Answer(None)).message == "no status"


@pytest.mark.parametrize("kind", HANDLERS)
def test_throttled_answer_keeps_its_retry_after(job: MakeJob, answer: MakeAnswer, judged: Judge, kind: str) -> None:
    got = judged(job(kind), answer(429, b"slow down", retry_after="7"))
    assert (got.verdict, got.retry_after_s) == (V.THROTTLED, 7)
    assert judged(job(kind), answer(429)).retry_after_s is None
    assert judged(job(kind), answer(503, b"", retry_after="soon")).verdict is V.THROTTLED
    dated = {"retry_after": "Thu, 01 Jan 2026 00:01:40 GMT", "date": "Thu, 01 Jan 2026 00:01:30 GMT"}
    assert judged(job(kind), answer(429, b"slow down", **dated)).retry_after_s == 10


@pytest.mark.parametrize(("asked_s", "wait_s"), [(None, None), (0.0, 0.0), (60.0, 60.0), (61.0, 60.0), (1e12, 60.0)])
def test_retry_after_is_capped_with_a_note(asked_s: float | None, wait_s: float | None) -> None:
    got = cap_retry_after(Judgement(V.THROTTLED, "HTTP 429", retry_after_s=asked_s), 60)
    assert got.retry_after_s == wait_s
    assert got.message == ("HTTP 429" if asked_s == wait_s else f"HTTP 429, Retry-After of {asked_s:.0f} s cut to 60 s")


def test_refused_token_is_replaced_once_then_credentials_are_refused(
    job: MakeJob, answer: MakeAnswer, judged: Judge
) -> None:
    refused = answer(401, b"")
    for kind in (*MAPPED, "close_loop"):
        assert judged(job(kind), refused).verdict is V.UNAUTHENTICATED
        assert judged(job(kind), refused, fresh_token=True).verdict is V.REFUSED_CREDENTIALS


@pytest.mark.parametrize("kind", V41)
def test_refused_key_is_not_tried_again(job: MakeJob, answer: MakeAnswer, judged: Judge, kind: str) -> None:
    assert judged(job(kind), answer(401, v41(200000, "Invalid API key"))).verdict is V.REFUSED_CREDENTIALS
    assert judged(job(kind), answer(400, v41(2000, "Invalid API key"))).verdict is V.REFUSED_CREDENTIALS


@pytest.mark.parametrize("kind", V41)
def test_refusal_of_key_keeps_message_without_the_key(
    job: MakeJob, answer: MakeAnswer, judged: Judge, kind: str
) -> None:
    refused = answer(401, v41(200000, "Invalid API key k3y-of-joe"))
    message = judged(job(kind), refused, secrets=("k3y-of-joe",)).message
    assert message == f"{job(kind).endpoints}: HTTP 401, Invalid API key […]"


def test_refused_token_without_message_shows_status(job: MakeJob, answer: MakeAnswer, judged: Judge) -> None:
    assert judged(job("record"), answer(401, b""), fresh_token=True).message == "imports: HTTP 401"


@pytest.mark.parametrize("kind", HANDLERS)
@pytest.mark.parametrize(
    ("status", "verdict"),
    [(status, V.UNRECOGNISED_400) for status in (400, 402, 403, 405, 409, 410, 413, 451)]
    + [(404, V.UNRECOGNISED_404), (422, V.UNRECOGNISED_422)],
)
def test_unrecognised_refusal_is_named_by_status(
    job: MakeJob, answer: MakeAnswer, judged: Judge, kind: str, status: int, verdict: Verdict
) -> None:
    got = judged(job(kind), answer(status, {"message": "Something new"}))
    assert (got.verdict, got.message) == (verdict, "Something new")


BODIES = [b"<html><body>Sorry</body></html>", b'{"data": ', b"plain", b"\xff\xfe", b"<a"]


@pytest.mark.parametrize("kind", HANDLERS)
@pytest.mark.parametrize("status", [400, 404, 413, 422])
@pytest.mark.parametrize("body", [*BODIES, b"[1]"])
def test_malformed_refusal_is_a_server_error(
    job: MakeJob, answer: MakeAnswer, judged: Judge, kind: str, status: int, body: object
) -> None:
    assert judged(job(kind), answer(status, body)).verdict is V.SERVER_ERROR


@pytest.mark.parametrize("kind", HANDLERS)
@pytest.mark.parametrize("on_unknown", ["retry", "hold"])
@pytest.mark.parametrize("body", [*BODIES, None])
def test_unreadable_success_may_have_worked(
    job: MakeJob, answer: MakeAnswer, judged: Judge, kind: str, on_unknown: str, body: object
) -> None:
    must_not_go_twice = kind in {"response", "file"} or on_unknown == "hold"
    expected = V.LOST_ANSWER if must_not_go_twice else V.UNREADABLE_SUCCESS
    came = answer(200, body) if body else Answer(200, body=b"", truncated=True)
    got = judged(job(kind, on_unknown=on_unknown), came)
    assert (got.verdict, got.message) == (expected, "HTTP 200 with an unexpected body")


@pytest.mark.parametrize("kind", ["close_loop", "personal_link"])
def test_empty_success_is_unreadable_where_a_body_is_due(
    job: MakeJob, answer: MakeAnswer, judged: Judge, kind: str
) -> None:
    assert judged(job(kind), answer(200)).verdict is V.UNREADABLE_SUCCESS
