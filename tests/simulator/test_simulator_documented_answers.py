"""The documented requests of CustomerGauge, and their documented answers: of the simulator and of the drop-in front."""

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
import requests

from gaugepost_simulator import Simulator
from support.hosts import FrontHost, Host

Call = Callable[..., requests.Response]
RECORD = {
    "Account Name": "ACME",
    "First Name": "Joe",
    "Last Name": "Doe",
    "Email": "joe.doe@example.com",
    "Sent Date": "2023-05-10 11:34:56",
    "Survey Completed Date": "2022-05-10 12:34:56",
    "NPS Score": "10",
}
CONFIGURATION = "53505294-0b20-2509-b15d-c8e377701d66"
CASE = {
    "number_customergauge": "53499",
    "status": "progress",
    "happened_at": "2023-07-31 08:50:15",
    "note": "Will get in touch about this",
    "assignee": "john.doe@company.com",
}
RESPONSE = {
    "CustomerNumber": "1143",
    "Email": "lee_klameth@directness.net",
    "FirstName": "Lee",
    "LastName": "Klameth",
    "ReasonCode": "10000,10020",
}


DIFFERS = {
    "test_a_bad_assignee_does_not_stop_the_call[front]": "gaugepost refuses an assignee that is no address (422)",
    "test_a_response_with_a_bad_value_is_refused[front-WorkflowStatus-42-400011]": (
        "200 before delivery: only CustomerGauge knows whether the account has numbers as status; the job dies visibly"
    ),
}
"""What the front answers otherwise, by its contract."""


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrontHost]:
    with FrontHost(tmp_path_factory.mktemp("front")) as front:
        yield front


@pytest.fixture(params=["simulator", "front"])
def host(request: pytest.FixtureRequest) -> Host:
    """Return where the calls go."""
    if request.param == "simulator":
        running: Simulator = request.getfixturevalue("running")
        running.reset()
        return Host(running)
    if (why := DIFFERS.get(request.node.name)) is not None:
        request.node.add_marker(pytest.mark.xfail(reason=why, strict=True))
    front: FrontHost = request.getfixturevalue("front")
    front.reset()
    return front


@pytest.fixture
def sim(host: Host) -> Simulator:
    return host.sim


def as_form(configuration: str, record: dict[str, str]) -> dict[str, str]:
    return {"configuration": configuration} | {f"record[{name}]": value for name, value in record.items()}


def test_a_token_is_given_for_client_credentials_in_a_form(host: Host) -> None:
    body = urlencode({"grant_type": "client_credentials"} | host.client("eu"))
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = requests.post(host.url("auth", "eu", "oauth2/token"), data=body, headers=headers, timeout=30)
    assert answer.status_code == 200
    assert isinstance(answer.json()["access_token"], str)


def test_a_record_in_json_is_answered_with_an_empty_body(host: Host, call: Call) -> None:
    answer = call("PUT", "imports/records/", json={"configuration": CONFIGURATION, "record": RECORD})
    assert (answer.status_code, answer.content) == (200, b"")
    (effect,) = host.effects(region="eu", kind="record")
    assert effect["configuration"] == CONFIGURATION
    assert effect["body"] == RECORD
    assert effect["answered"] is True


def test_a_record_in_a_form_is_the_same_record(host: Host, call: Call) -> None:
    answer = call("PUT", "imports/records/", data=as_form(CONFIGURATION, RECORD))
    assert (answer.status_code, answer.content) == (200, b"")
    assert host.effects()[0]["body"] == RECORD


@pytest.mark.parametrize("path", ["imports/records/", "imports/personal-link/"])
def test_a_missing_configuration_is_named(host: Host, call: Call, path: str) -> None:
    answer = call("PUT", path, json={"record": RECORD})
    assert answer.status_code == 422
    assert answer.json() == {
        "message": "The given data was invalid.",
        "errors": {"configuration": ["The configuration field is required."]},
    }
    assert host.effects() == []


@pytest.mark.parametrize("form", [True, False])
def test_a_personal_link_has_a_number_and_two_links(host: Host, call: Call, form: bool) -> None:
    record = {name: RECORD[name] for name in ("Account Name", "First Name", "Last Name", "Email")}
    body: dict[str, Any] = (
        {"data": as_form("m", record)} if form else {"json": {"configuration": "m", "record": record}}
    )
    answer = call("PUT", "imports/personal-link/", "au", **body)
    assert answer.status_code == 200
    data = answer.json()["data"]
    assert data["number_customergauge"] == 12345
    assert re.fullmatch(r"https://survey\.au\.customergauge\.com/r/[0-9a-f]{12}", data["survey_link"])
    assert re.fullmatch(r"https://cust\.xx/[0-9a-f]{12}", data["survey_link_short"])
    assert host.effects()[0]["result"] == data


def test_a_mapping_of_another_type_is_refused_for_a_personal_link(call: Call, sim: Simulator) -> None:
    sim.knobs(mappings={"abcdefgh": {"type": "Contact"}})
    answer = call("PUT", "imports/personal-link/", json={"configuration": "abcdefgh", "record": RECORD})
    text = "The inbound mapping [abcdefgh] data type is invalid, only 'Multi-Object' or 'Survey Data' are allowed."
    assert answer.status_code == 422
    assert answer.json() == {"message": text, "errors": {"configuration": [text]}}


@pytest.mark.parametrize("path", ["imports/records/", "imports/personal-link/"])
def test_data_outside_of_record_counts_as_missing(call: Call, path: str) -> None:
    answer = call("PUT", path, json={"configuration": "m", "Email": "joe.doe@example.com"})
    assert answer.status_code == 422
    assert answer.json() == {
        "message": "The Email field is required when Phone is not present. (and 1 more error)",
        "errors": {
            "Email": ["The Email field is required when Phone is not present."],
            "Phone": ["The Phone field is required when Email is not present."],
        },
    }


def test_an_email_that_is_none_is_an_invalid_value(call: Call) -> None:
    answer = call("PUT", "imports/personal-link/", json={"configuration": "m", "record": {"Email": "joe.doe"}})
    text = "The Email must be a valid email address."
    assert answer.status_code == 422
    assert answer.json() == {"message": text, "errors": {"Email": [text]}}


def test_documented_phone_is_accepted_without_letters(put_link: Call) -> None:
    assert put_link(Email="", Phone="+55 (62) 01234-56789").status_code == 200
    assert put_link(Email="", Phone="call me").status_code == 422


@pytest.mark.parametrize("form", [True, False])
def test_a_status_change_is_confirmed_part_by_part(host: Host, call: Call, form: bool) -> None:
    answer = call("PUT", "api/v7/rest/close-loop/status", **({"data": CASE} if form else {"json": CASE}))
    assert answer.status_code == 200
    assert answer.json() == {"data": {"status": True, "note": True, "assignee": True}}
    assert host.effects(kind="close_loop")[0]["body"] == CASE


def test_a_status_change_without_its_case_names_the_field(call: Call) -> None:
    body = {name: value for name, value in CASE.items() if name != "number_customergauge"}
    answer = call("PUT", "api/v7/rest/close-loop/status", json=body)
    text = "The number customergauge field is required."
    assert answer.status_code == 422
    assert answer.json() == {"message": text, "errors": {"number_customergauge": [text]}}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("status", "done"),
        ("happened_at", "31.07.2023"),
        ("happened_at", "2199-01-01 00:00:00"),
        ("note", ["a", "list"]),
    ],
)
def test_invalid_value_of_close_the_loop_is_named(call: Call, field: str, value: object) -> None:
    answer = call("PUT", "api/v7/rest/close-loop/status", json=CASE | {field: value})
    assert answer.status_code == 422
    assert list(answer.json()["errors"]) == [field]


def test_a_bad_assignee_does_not_stop_the_call(host: Host, call: Call) -> None:
    answer = call("PUT", "api/v7/rest/close-loop/status", json=CASE | {"assignee": "nobody"})
    assert answer.status_code == 200
    assert answer.json()["data"] == {"status": True, "note": True, "assignee": False}
    assert len(host.effects()) == 1


@pytest.mark.parametrize("multipart", [True, False])
def test_a_response_is_answered_with_data_true(host: Host, call: Call, multipart: bool) -> None:
    body = {"files": {k: (None, v) for k, v in RESPONSE.items()}} if multipart else {"data": RESPONSE}
    answer = call("POST", "api/v4.1/transactions/response.json", **body)
    assert answer.status_code == 200
    assert answer.json() == {"Data": True}
    assert host.effects(kind="response")[0]["body"] == RESPONSE


def test_a_response_without_its_email_is_refused_with_400003(call: Call) -> None:
    answer = call("POST", "api/v4.1/transactions/response.json", data={"CustomerNumber": "1143"})
    assert answer.status_code == 400
    assert answer.json() == {"Error": {"Message": "Field email is required but seems to be empty.", "Code": 400003}}


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("NetPromoterScore", "11", 300001),
        ("EmailSentDate", "2018-01-01", 300001),
        ("FollowUpRequired", "yes", 300001),
        ("ReasonCode", "a,b", 300001),
        ("WorkflowStatus", "DONE", 400011),
        ("WorkflowStatus", "42", 400011),
    ],
)
def test_a_response_with_a_bad_value_is_refused(call: Call, field: str, value: str, code: int) -> None:
    answer = call("POST", "api/v4.1/transactions/response.json", data=RESPONSE | {field: value})
    assert answer.status_code == 400
    assert answer.json()["Error"]["Code"] == code


def test_all_documented_survey_fields_are_accepted(call: Call) -> None:
    survey = {
        "NetPromoterScore": "10",
        "Comment": "I absolutely love it",
        "EmailSentDate": "2018-01-01 13:59:12",
        "SurveyCompletedDate": "2018-01-01 13:59:12",
        "FollowUpRequired": "Y",
        "WorkflowStatus": "CLOSE",
    }
    assert call("POST", "api/v4.1/transactions/response.json", data=RESPONSE | survey).json() == {"Data": True}


def test_xml_is_answered_where_the_path_asks_for_it(call: Call) -> None:
    good = call("POST", "api/v4.1/transactions/response.xml", data=RESPONSE)
    bad = call("POST", "api/v4.1/transactions/response.xml", data={})
    assert good.text == "<Data>true</Data>"
    assert good.headers["Content-Type"].startswith("application/xml")
    text = "<Error><Message>Field email is required but seems to be empty.</Message><Code>400003</Code></Error>"
    assert (bad.status_code, bad.text) == (400, text)


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("POST", "api/v4.1/nothing/response.json", 404, 300002),
        ("POST", "api/v4.1/transactions/nothing.json", 405, 300003),
        ("PATCH", "api/v4.1/file/contact.json", 405, 300003),
    ],
)
def test_unknown_modules_and_methods_have_their_codes(
    call: Call, method: str, path: str, status: int, code: int
) -> None:
    answer = call(method, path)
    assert (answer.status_code, answer.json()["Error"]["Code"]) == (status, code)
    assert f"<Code>{code}</Code>" in call(method, path.replace(".json", ".xml")).text


def test_undocumented_paths_are_not_found(host: Host, call: Call) -> None:
    assert call("PUT", "imports/records", json={}).status_code == 404
    assert call("POST", "imports/records/", json={}).status_code == 405
    assert call("HEAD", "imports/records/").status_code == 405
    assert requests.put(host.url("imports", "mars", "records/"), timeout=30).status_code == 404
    if type(host) is Host:
        assert host.sim.state()["requests"]["eu.unknown.404"] == 1


@pytest.mark.parametrize("body", [b"{", b"[]", b"", b"\xff\xfe"])
def test_body_without_json_object_counts_as_empty(call: Call, body: bytes) -> None:
    answer = call("PUT", "imports/records/", data=body, headers={"Content-Type": "application/json"})
    assert list(answer.json()["errors"]) == ["configuration"]
