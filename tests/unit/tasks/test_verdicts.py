from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaugepost.verdict import Verdict as V
from gaugepost_tasks.handlers import HANDLERS
from gaugepost_tasks.messages import Answer
from gaugepost_tasks.retry_after import LONGEST, read_retry_after
from gaugepost_tasks.verdicts import HAD_IT

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
MAPPING_GONE = "The inbound mapping [$value] was not found."
WRONG_TYPE = (
    "The inbound mapping [abcdefgh-1234-5678-ijkl-mnopqrstuvwx] data type is invalid, "
    "only 'Multi-Object' or 'Survey Data' are allowed."
)
V41_TEXT = "Field email is required but seems to be empty."
MAPPED = ("record", "personal_link")
V41 = ("response", "file", "file_delete")


def said(text, **errors):
    return {"message": text} | ({"errors": errors} if errors else {})


def v41(code, text="", wrapped=True):
    inner = {"Message": text, "Code": code}
    return {"Error": inner} if wrapped else inner


# What the documentation shows, word for word.


@pytest.mark.parametrize(
    ("kind", "status", "body", "verdict"),
    [
        ("record", 200, b"", V.DELIVERED),
        ("record", 422, said("The given data was invalid.", configuration=["The configuration field is required."]), V.MAPPING_DRIFT),
        ("personal_link", 200, {"data": LINKS}, V.DELIVERED),
        ("personal_link", 400, said(NO_CAMPAIGN), V.NO_CAMPAIGN),
        ("personal_link", 400, said(DUPLICATES[0]), V.DUPLICATE),
        ("personal_link", 400, said(DUPLICATES[1]), V.DUPLICATE),
        ("personal_link", 404, said(MAPPING_GONE), V.UNKNOWN_MAPPING),
        ("personal_link", 422, said(WRONG_TYPE, configuration=[WRONG_TYPE]), V.WRONG_MAPPING_TYPE),
        (
            "personal_link",
            422,
            said(
                "The Email field is required when Phone is not present. (and 1 more error)",
                Email=["The Email field is required when Phone is not present."],
                Phone=["The Phone field is required when Email is not present."],
            ),
            V.MAPPING_DRIFT,
        ),
        (
            "personal_link",
            422,
            said("The Email must be a valid email address.", Email=["The Email must be a valid email address."]),
            V.INVALID_VALUE,
        ),
        ("close_loop", 200, {"data": {"status": True, "note": True, "assignee": True}}, V.DELIVERED),
        ("close_loop", 401, said("Unauthenticated."), V.UNAUTHENTICATED),
        (
            "close_loop",
            422,
            said(
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
def test_each_documented_answer_has_its_verdict(job, answer, judged, kind, status, body, verdict):
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
def test_texts_are_met_in_any_case_and_may_go_on(job, answer, judged, kind, status, text, verdict):
    assert judged(job(kind), answer(status, said(text))).verdict is verdict


def test_a_wrong_mapping_type_is_seen_in_the_field_errors_alone(job, answer, judged):
    body = said("The given data was invalid.", configuration=[WRONG_TYPE])
    assert judged(job("record"), answer(422, body)).verdict is V.WRONG_MAPPING_TYPE


@pytest.mark.parametrize("kind", ["record", "close_loop"])
def test_a_text_of_another_endpoint_is_not_recognised(job, answer, judged, kind):
    assert judged(job(kind), answer(400, said(NO_CAMPAIGN))).verdict is V.UNRECOGNISED_400
    assert judged(job("close_loop"), answer(404, said(MAPPING_GONE))).verdict is V.UNRECOGNISED_404


# The transport and the status.


@pytest.mark.parametrize("kind", HANDLERS)
@pytest.mark.parametrize(("failure", "verdict"), [("unreachable", V.UNREACHABLE), ("lost_answer", V.LOST_ANSWER)])
def test_a_failed_exchange_is_what_it_is(job, judged, kind, failure, verdict):
    got = judged(job(kind), Answer(None, failure=failure, detail="timed out (TimeoutError)"))
    assert (got.verdict, got.message) == (verdict, "timed out (TimeoutError)")


@pytest.mark.parametrize("kind", HANDLERS)
@pytest.mark.parametrize("status", [301, 302, 307, 408, 423, 425, 500, 503, 599, 100, 304])
def test_these_statuses_are_the_servers_trouble(job, answer, judged, kind, status):
    assert judged(job(kind), answer(status, {"Data": True, "data": LINKS})).verdict is V.SERVER_ERROR


@pytest.mark.parametrize("kind", HANDLERS)
@pytest.mark.parametrize("status", [502, 504])
def test_a_gateway_that_got_no_answer_lost_it(job, answer, judged, kind, status):
    got = judged(job(kind), answer(status, b"<html>Bad Gateway</html>"))
    assert (got.verdict, got.message) == (V.LOST_ANSWER, f"HTTP {status}")


def test_neither_a_status_nor_a_failure_is_a_lost_answer(job, judged):
    assert judged(job("record"), Answer(None)).message == "no status"


@pytest.mark.parametrize("kind", HANDLERS)
def test_too_many_requests_wait_as_long_as_they_are_told(job, answer, judged, kind):
    got = judged(job(kind), answer(429, b"slow down", retry_after="7"))
    assert (got.verdict, got.retry_after_s) == (V.THROTTLED, 7)
    assert judged(job(kind), answer(429)).retry_after_s is None
    assert judged(job(kind), answer(503, b"", retry_after="soon")).verdict is V.THROTTLED


def test_a_refused_token_is_fetched_anew_once_and_then_the_credentials_are_refused(job, answer, judged):
    refused = answer(401, b"")
    for kind in (*MAPPED, "close_loop"):
        assert judged(job(kind), refused).verdict is V.UNAUTHENTICATED
        assert judged(job(kind), refused, fresh_token=True).verdict is V.REFUSED_CREDENTIALS


@pytest.mark.parametrize("kind", V41)
def test_a_refused_key_has_no_second_chance(job, answer, judged, kind):
    assert judged(job(kind), answer(401, v41(200000, "Invalid API key"))).verdict is V.REFUSED_CREDENTIALS
    assert judged(job(kind), answer(400, v41(2000, "Invalid API key"))).verdict is V.REFUSED_CREDENTIALS


@pytest.mark.parametrize("kind", HANDLERS)
@pytest.mark.parametrize(
    ("status", "verdict"),
    [(status, V.UNRECOGNISED_400) for status in (400, 402, 403, 405, 409, 410, 413, 451)]
    + [(404, V.UNRECOGNISED_404), (422, V.UNRECOGNISED_422)],
)
def test_a_refusal_that_no_row_knows_is_counted_by_the_nearest_status(job, answer, judged, kind, status, verdict):
    got = judged(job(kind), answer(status, {"message": "Something new"}))
    assert (got.verdict, got.message) == (verdict, "Something new")


@pytest.mark.parametrize("kind", HANDLERS)
@pytest.mark.parametrize("status", [200, 400, 404, 422])
@pytest.mark.parametrize(
    "body", [b"<html><body>Sorry</body></html>", b'{"data": ', b"plain", b"[1]", b"\xff\xfe", b"<a"]
)
def test_what_the_endpoint_never_answers_is_the_servers_trouble(job, answer, judged, kind, status, body):
    if (kind, status, body) == ("record", 200, b"[1]"):
        return
    assert judged(job(kind), answer(status, body)).verdict is V.SERVER_ERROR


@pytest.mark.parametrize("kind", HANDLERS)
def test_an_answer_too_large_to_read_is_the_servers_trouble(job, judged, kind):
    assert judged(job(kind), Answer(200, body=b"", truncated=True)).verdict is V.SERVER_ERROR


# Records and personal links.


@pytest.mark.parametrize("status", [200, 201, 202, 204])
@pytest.mark.parametrize("body", [b"", b" \r\n", b"{}", b"null", b'{"message": "Created"}'])
def test_a_record_is_delivered_by_any_success(job, answer, judged, status, body):
    assert judged(job("record"), answer(status, body)).verdict is V.DELIVERED


def test_a_success_that_lists_errors_is_none(job, answer, judged):
    assert judged(job("record"), answer(200, said("Hm", Email=["bad"]))).verdict is V.UNRECOGNISED_200


def test_a_link_is_the_result_and_its_number_may_come_as_text(job, answer, judged):
    link = job("personal_link")
    assert judged(link, answer(201, {"data": LINKS})).result == LINKS
    got = judged(link, answer(200, {"data": LINKS | {"number_customergauge": "12345"}}))
    assert link.read_result(dict(got.result)).number_customergauge == 12345


def test_links_without_a_number_are_kept_all_the_same(job, answer, judged):
    got = judged(job("personal_link"), answer(200, {"data": LINKS | {"number_customergauge": None}}))
    assert (got.verdict, got.result) == (V.DELIVERED, {name: LINKS[name] for name in list(LINKS)[1:]})


@pytest.mark.parametrize("data", [None, [], {}, LINKS | {"survey_link": ""}, LINKS | {"survey_link_short": None}])
def test_a_link_that_is_not_there_is_the_servers_trouble(job, answer, judged, data):
    assert judged(job("personal_link"), answer(200, {"data": data})).verdict is V.SERVER_ERROR


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
def test_a_422_is_told_apart_by_what_the_job_carries(job, answer, judged, errors, verdict):
    cells = {"Email": "a@b.cd", "Empty": None, "Blank": "  ", "Zero": 0}
    got = judged(job("record", record=cells), answer(422, {"message": "The given data was invalid.", "errors": errors}))
    assert got.verdict is verdict


def test_a_422_with_a_message_alone_is_read_by_it(job, answer, judged):
    record = job("record")
    assert judged(record, answer(422, said("The Last Name field is required."))).verdict is V.MISSING_FIELD
    assert judged(record, answer(422, said("The Account Name field is required."))).verdict is V.MAPPING_DRIFT


def test_what_is_kept_of_a_refusal_shows_no_personal_data(job, answer, judged):
    body = said(
        "joe.doe@example.com of Acme (+31 20 123 4567) is bad", Email=["joe.doe@example.com is bad: jane@x.org"]
    )
    got = judged(job("record"), answer(422, body))
    assert got.message == "[…] of […] ([…]) is bad"
    assert got.field_errors == {"Email": ("[…] is bad: […]",)}


# Close the loop.


def test_a_part_that_was_sent_and_not_taken_is_named_in_a_warning(job, answer, judged):
    case = job("close_loop", assignee="john.doe@company.com")
    got = judged(case, answer(200, {"data": {"status": True, "note": True, "assignee": False}}))
    assert (got.verdict, got.warnings) == (V.DELIVERED_IN_PART, ("CustomerGauge did not take the assignee",))
    assert case.read_result(dict(got.result)).note


def test_a_part_that_was_not_sent_may_be_false(job, answer, judged):
    case = job("close_loop", note=None)
    for note in ({"note": False}, {"note": None}, {}):
        got = judged(case, answer(200, {"data": {"status": True, "assignee": False} | note}))
        assert (got.verdict, got.warnings) == (V.DELIVERED, ())


@pytest.mark.parametrize("data", [True, None, {}, {"note": True}])
def test_a_status_change_without_its_status_is_the_servers_trouble(job, answer, judged, data):
    assert judged(job("close_loop"), answer(200, {"data": data})).verdict is V.SERVER_ERROR


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
        (b'{"Data": null}', V.UNRECOGNISED_200),
        (b'{"Error": null, "Data": []}', V.UNRECOGNISED_200),
        (b"<Data>false</Data>", V.UNRECOGNISED_200),
        (b"<Data/>", V.UNRECOGNISED_200),
        (b'{"Error": "Something"}', V.UNRECOGNISED_200),
        (b'{"Data": true, "Error": {"Code": 300001}}', V.INVALID_VALUE),
        (b"", V.SERVER_ERROR),
        (b"{}", V.SERVER_ERROR),
        (b'{"Error": {}}', V.SERVER_ERROR),
        (b"<html><Data/></html", V.SERVER_ERROR),
        (b"<?xml version='1.0' encoding='x-none'?><Data>1</Data>", V.SERVER_ERROR),
        (b'<!DOCTYPE d [<!ENTITY e "1">]><Data>&e;</Data>', V.SERVER_ERROR),
    ],
)
def test_a_success_of_v41_says_something_else_than_no(job, answer, judged, kind, body, verdict):
    assert judged(job(kind), answer(200, body)).verdict is verdict


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
def test_v41_is_judged_by_its_codes_wrapped_or_not_in_json_and_xml(job, answer, judged, kind, code, text, verdict):
    assert judged(job(kind), answer(400, v41(code, text))).verdict is verdict
    assert judged(job(kind), answer(400, v41(code, text, wrapped=False))).verdict is verdict
    inner = f"<Message>{text}</Message><Code>{'' if code is None else code}</Code>".encode()
    assert judged(job(kind), answer(400, b"<Error>%b</Error>" % inner)).verdict is verdict
    assert judged(job(kind), answer(400, b"<response><Error>%b</Error></response>" % inner)).verdict is verdict
    assert judged(job(kind), answer(400, b"<response>%b</response>" % inner)).verdict is verdict


def test_the_documented_error_that_is_no_json_is_survived(job, answer, judged):
    body = b'{"Error":{"No data provided","Code":400700}}'
    assert judged(job("file"), answer(400, body)).verdict is V.SERVER_ERROR


def test_v41_refuses_without_a_reason_too(job, answer, judged):
    got = judged(job("response"), answer(400, {"Data": False}))
    assert (got.verdict, got.message) == (V.UNRECOGNISED_400, "Data is false, without a reason")
    assert judged(job("response"), answer(400, {"Data": True})).verdict is V.SERVER_ERROR


def test_only_a_file_is_a_duplicate_by_its_code(job, answer, judged):
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
def test_a_second_sending_refused_as_done_was_delivered_by_the_first(job, answer, judged, kind, status, body):
    got = judged(job(kind), answer(status, body), lost_before=True)
    assert (got.verdict, got.warnings) == (V.DELIVERED, (HAD_IT,))
    assert judged(job(kind), answer(status, body)).verdict is not V.DELIVERED


def test_a_duplicate_link_stays_a_duplicate_for_the_policy_to_decide(job, answer, judged):
    got = judged(job("personal_link"), answer(400, said(DUPLICATES[1])), lost_before=True)
    assert got.verdict is V.DUPLICATE


# Whatever comes.

BODIES = st.binary() | st.sampled_from(
    [b"[" * 100_000, b"<a>" * 50_000, b'{"message":"\\ud800","errors":{"\\ud800":["x"]}}']
)
MEMBERS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
NAMES = st.sampled_from(["message", "errors", "Error", "Data", "data", "Message", "Code", "survey_link", "status"])


@given(
    st.sampled_from(list(HANDLERS)), st.integers(0, 1000), BODIES, st.dictionaries(st.just("retry-after"), st.text()),
    st.booleans(), st.booleans(),
)  # fmt: skip
def test_any_bytes_whatever_are_judged(job, judged, kind, status, body, headers, fresh, lost):
    got = judged(job(kind), Answer(status, headers, body), fresh_token=fresh, lost_before=lost)
    assert len(got.message) <= 300
    got.message.encode()


@given(st.sampled_from(list(HANDLERS)), st.sampled_from([200, 400, 404, 422]), st.dictionaries(NAMES, MEMBERS | st.dictionaries(NAMES, MEMBERS)))  # fmt: skip
def test_any_json_whatever_is_judged(job, answer, judged, kind, status, body):
    got = judged(job(kind), answer(status, body))
    assert len(got.field_errors) <= 20
    assert status != 200 or got.verdict not in {V.UNRECOGNISED_400, V.UNRECOGNISED_404, V.UNRECOGNISED_422}


# Retry-After.


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("²", None),
        ("0", 0),
        (" 120 ", 120),
        ("1.5", 1.5),
        ("999999999", LONGEST),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 90),
        ("Thu, 01 Jan 1970 00:01:40 -0000", 90),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Thu, 01 Jan 9999 00:00:00 GMT", LONGEST),
        ("Thu, 99 Jan 1970 00:00:00 GMT", None),
    ],
)
def test_a_retry_after_is_seconds_or_a_date(text, seconds):
    assert read_retry_after(text, 10.0) == seconds
