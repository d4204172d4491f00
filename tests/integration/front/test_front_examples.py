"""The calls of CustomerGauge's pages, sent by plain curl to the front: only the host and the credentials differ."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gaugepost import Region
from gaugepost.states import JobState
from support.hosts import FrontHost

pytestmark = pytest.mark.needs("curl")

MAPPING = "53505294-0b20-2509-b15d-c8e377701d66"
PERSON = {"Account Name": "ACME", "First Name": "Joe", "Last Name": "Doe", "Email": "joe.doe@example.com"}
DATES = {"Sent Date": "2023-05-10 11:34:56", "Survey Completed Date": "2022-05-10 12:34:56", "NPS Score": "10"}
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


def curl(*arguments: str, folder: Path | None = None) -> tuple[int, dict[str, str], str]:
    """Return status, headers by lower-case name, and body."""
    command = ["curl", "-sS", "-i", "--max-time", "60", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)
    head, _, body = done.stdout.replace("\r\n", "\n").partition("\n\n")
    first, *lines = head.splitlines()
    return (
        int(first.split()[1]),
        {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)},
        body,
    )


def token(front: FrontHost, end: str = "") -> str:
    form = f"grant_type=client_credentials&client_id=crm&client_secret={front.key}{end}"
    status, _, body = curl(
        *("-X", "POST", "-H", "Content-Type: application/x-www-form-urlencoded", "-d", form),
        front.url("auth", "eu", "oauth2/token"),
    )
    assert status == 200
    assert json.loads(body) | {"access_token": ""} == {"access_token": "", "token_type": "Bearer", "expires_in": 3600}
    return str(json.loads(body)["access_token"])


def as_json(content: Any) -> list[str]:
    return ["-H", "Content-Type: application/json", "--data-binary", json.dumps(content, indent=1)]


def as_form(content: dict[str, Any]) -> list[str]:
    pairs = {name: value for name, value in content.items() if name != "record"}
    pairs |= {f"record[{name}]": value for name, value in content.get("record", {}).items()}
    return [part for name, value in pairs.items() for part in ("--data-urlencode", f"{name}={value}")]


def put(front: FrontHost, path: str, body: list[str], region: str = "eu") -> tuple[int, dict[str, str], str]:
    bearer = ["-H", f"Authorization: Bearer {token(front)}"]
    return curl("-X", "PUT", *bearer, *body, front.url("", region, path))


def assert_delivered(front: FrontHost, headers: dict[str, str], body: dict[str, Any]) -> None:
    [effect] = front.effects()
    assert effect["body"] == body
    assert front.stack.producer.job(headers["gaugepost-job"], region=Region.EU).state is JobState.DELIVERED


def test_token_of_the_page_with_a_blank_behind_the_secret(front: FrontHost) -> None:
    assert token(front) == token(front, " ") or token(front) == token(front, " "), "the same for five minutes"


@pytest.mark.parametrize("spell", [as_json, as_form])
def test_record_is_answered_by_an_empty_body_and_delivered(front: FrontHost, spell: Any) -> None:
    status, headers, body = put(front, "records/", spell({"configuration": MAPPING, "record": PERSON | DATES}))
    assert (status, body) == (200, "")
    assert_delivered(front, headers, PERSON | DATES)


@pytest.mark.parametrize("spell", [as_json, as_form])
def test_personal_link_is_answered_by_its_links(front: FrontHost, spell: Any) -> None:
    status, headers, body = put(front, "personal-link/", spell({"configuration": MAPPING, "record": PERSON}))
    data = json.loads(body)["data"]
    assert (status, list(data)) == (200, ["number_customergauge", "survey_link", "survey_link_short"])
    assert data["number_customergauge"] == 12345
    assert data["survey_link"].startswith("https://survey.eu.customergauge.com/r/")
    assert_delivered(front, headers, PERSON)


@pytest.mark.parametrize("spell", [as_json, as_form])
def test_status_of_a_case_is_answered_by_its_parts(front: FrontHost, spell: Any) -> None:
    status, headers, body = put(front, "v7/rest/close-loop/status", spell(CASE))
    assert (status, json.loads(body)) == (200, {"data": {"status": True, "note": True, "assignee": True}})
    assert_delivered(front, headers, CASE)


def test_part_that_customergauge_did_not_take_is_false(front: FrontHost) -> None:
    front.sim.knobs(close_loop={"false_parts": ["note"]})
    status, _, body = put(front, "v7/rest/close-loop/status", as_json(CASE))
    assert (status, json.loads(body)["data"]) == (200, {"status": True, "note": False, "assignee": True})


def test_response_is_answered_by_data_true(front: FrontHost) -> None:
    fields = [part for name, value in RESPONSE.items() for part in ("-d", f"{name}={value}")]
    url = front.url("api", "eu", "v4.1/transactions/response.json")
    status, headers, body = curl("-H", f"Authorization: api_key {front.key}", "-X", "POST", url, *fields)
    assert (status, json.loads(body)) == (200, {"Data": True})
    assert_delivered(front, headers, RESPONSE)


def test_response_without_its_email_is_the_documented_error(front: FrontHost) -> None:
    url = front.url("api", "eu", "v4.1/transactions/response.json")
    status, _, body = curl("-H", f"Authorization: api_key {front.key}", "-X", "POST", url, "-d", "CustomerNumber=1143")
    expected = {"Message": "Field email is required but seems to be empty.", "Code": 400003}
    assert (status, json.loads(body)) == (400, {"Error": expected})


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("people.csv", "Email,Date\njoe@example.com,2018-01-01 13:59:12\n"),
        (
            "people.xml",
            '<?xml version="1.0" encoding="UTF-8"?><records><record><Email>joe@example.com</Email></record></records>',
        ),
    ],
)
def test_file_is_queued_for_its_slot(front: FrontHost, tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    url = front.url("api", "eu", "v4.1/file/contact.json")
    form = ["-F", f"file=@{name}"]
    status, headers, body = curl("-H", f"Authorization: api_key {front.key}", *form, url, folder=tmp_path)
    assert (status, json.loads(body)) == (200, {"Data": True})
    path = f"/v1/jobs/{headers['gaugepost-job']}?wait=60"
    rows = front.gateway.call("GET", path, front.key).json()["result"]["successful"]
    assert (rows, [effect["body"]["family"] for effect in front.effects()]) == (1, ["contact"])


REFUSED = [
    ({"configuration": MAPPING, "record": {"Email": "no campaign"}}, 422, ["Email"]),
    ({"record": PERSON}, 422, ["configuration"]),
    ({"configuration": MAPPING, "record": {"Account Name": "ACME"}}, 422, ["Email", "Phone"]),
]


@pytest.mark.parametrize(("content", "status", "fields"), REFUSED)
def test_refused_link_names_its_fields(front: FrontHost, content: Any, status: int, fields: list[str]) -> None:
    found, _, body = put(front, "personal-link/", as_json(content))
    assert (found, list(json.loads(body)["errors"])) == (status, fields)
    assert front.effects() == []


@pytest.mark.parametrize(
    ("knob", "text"),
    [
        ("no_campaign_emails", "Could not match any campaign filter."),
        ("duplicate_rule_emails", "Record could not be imported because it duplicates with another record."),
        (
            "duplicate_emails",
            "Personal link record could not be created because it duplicates with another record.",
        ),
    ],
)
def test_refusal_of_customergauge_comes_back_and_ends_the_job(front: FrontHost, knob: str, text: str) -> None:
    front.sim.knobs(**{knob: [PERSON["Email"]]})
    status, headers, body = put(front, "personal-link/", as_json({"configuration": MAPPING, "record": PERSON}))
    assert (status, json.loads(body)) == (400, {"message": text})
    assert front.stack.producer.job(headers["gaugepost-job"], region=Region.EU).has_ended


def test_unknown_mapping_is_the_documented_404(front: FrontHost) -> None:
    front.sim.knobs(any_mapping=False)
    status, headers, body = put(front, "personal-link/", as_json({"configuration": "absent", "record": PERSON}))
    assert (status, json.loads(body)) == (404, {"message": "The inbound mapping [absent] was not found."})
    entry = front.stack.producer.ledger(Region.EU).audit.read()[0].to_dict()
    assert (entry["actor"], entry["action"], entry["target"]) == ("crm", "cancel", headers["gaugepost-job"])
    front.stack.producer.ledger(Region.EU).resume("configuration:absent", "test")
