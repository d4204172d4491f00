"""Scenario words: a word in the data of one job asks for a fault."""

import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

from gaugepost_simulator import Simulator

Call = Callable[..., requests.Response]
RESPONSE = "api/v4.1/transactions/response.json"
NO_CAMPAIGN = {"message": "Could not match any campaign filter."}


def test_nothing_special_happens_to_ordinary_data(sim: Simulator, put_record: Call, put_status: Call) -> None:
    assert put_record(Email="slowly@example.com", Comment="500").status_code == 200
    assert put_record(Email="slow@example.net").status_code == 200
    assert put_status(note="they simulate: 500").status_code == 200
    assert len(sim.effects()) == 3


WRONG_TYPE = "The inbound mapping [wrong-type] data type is invalid, only 'Multi-Object' or 'Survey Data' are allowed."


@pytest.mark.parametrize(
    ("configuration", "refusal"),
    [
        ("unknown-mapping", (404, "The inbound mapping [unknown-mapping] was not found.")),
        ("wrong-type", (422, WRONG_TYPE)),
        ("drifted", (422, "The Email field is required.")),
    ],
)
def test_a_configuration_can_be_a_word(
    sim: Simulator, put_record: Call, put_link: Call, configuration: str, refusal: tuple[int, str]
) -> None:
    for answer in (put_record(configuration=configuration), put_link(configuration=configuration)):
        assert (answer.status_code, answer.json()["message"]) == refusal
    assert sim.effects() == []


@pytest.mark.parametrize(
    ("email", "text"),
    [
        ("no-campaign@example.com", "Could not match any campaign filter."),
        (
            "duplicate@example.com",
            "Personal link record could not be created because it duplicates with another record.",
        ),
        ("duplicate-rule@example.com", "Record could not be imported because it duplicates with another record."),
    ],
)
def test_an_email_can_be_a_word(sim: Simulator, put_link: Call, put_record: Call, email: str, text: str) -> None:
    answer = put_link(Email=email)
    assert (answer.status_code, answer.json()) == (400, {"message": text})
    assert put_record(Email=email).status_code == 200
    assert [effect["kind"] for effect in sim.effects()] == ["record"]


def test_a_count_is_kept_for_each_job(sim: Simulator, put_link: Call) -> None:
    statuses = [put_link(key=key, Simulate="no campaign twice").status_code for key in ("a", "a", "b", "a", "b", "b")]
    assert statuses == [400, 400, 400, 200, 400, 200]
    assert [effect["idempotency_key"] for effect in sim.effects()] == ["a", "b"]


def test_a_count_without_a_key_is_kept_for_each_body(put_record: Call) -> None:
    assert [put_record(Simulate="500 once").status_code for _ in range(2)] == [500, 200]
    assert put_record(Simulate="500 once", Name="other").status_code == 500


def test_a_count_in_a_configuration_is_kept_for_all_jobs(put_record: Call) -> None:
    statuses = [put_record(key=key, configuration="unknown-mapping-3-times").status_code for key in "abcde"]
    assert statuses == [404, 404, 404, 200, 200]


@pytest.mark.parametrize(
    ("word", "status", "text"),
    [
        ("500", 500, "Server Error"),
        ("HTML", 200, "<!DOCTYPE html>"),
        ("broken_json", 200, '{"data": {'),
        ("401 once", 401, "Unauthenticated."),
        ("unrecognised", 422, "could not be handled"),
        ("unrecognised 400", 400, "could not be handled"),
        ("unrecognised 404", 404, "could not be handled"),
        ("unrecognised 200", 200, '{"data":{}}'),
        ("no such word", 422, "The simulator knows no scenario [no such word]"),
        ("partial", 422, "The simulator knows no scenario [partial]"),
    ],
)
def test_simulate_field_of_a_link_accepts_each_word(
    sim: Simulator, put_link: Call, word: str, status: int, text: str
) -> None:
    answer = put_link(Simulate=word)
    assert answer.status_code == status
    assert text in answer.text
    assert sim.effects() == []


def test_throttling_word_sets_retry_after(put_record: Call) -> None:
    assert put_record(Simulate="429").headers["Retry-After"] == "1"
    assert put_record(Simulate="429 30s once").headers["Retry-After"] == "30"
    assert put_record(Simulate="503 2s").headers["Retry-After"] == "2"
    assert "Retry-After" not in put_record(Simulate="503").headers


@pytest.mark.parametrize(("word", "effects"), [("cut before once", 1), ("cut after once", 2)])
def test_an_answer_can_be_cut_before_and_after_the_effect(
    sim: Simulator, put_record: Call, word: str, effects: int
) -> None:
    with pytest.raises(requests.ConnectionError):
        put_record(key="job-1", Simulate=word)
    assert put_record(key="job-1", Simulate=word).status_code == 200
    assert len(sim.effects(key="job-1")) == effects


@pytest.mark.parametrize("word", ["slow 0.2s", "trickle 0.2s"])
def test_an_answer_can_be_late(sim: Simulator, put_record: Call, word: str) -> None:
    started = time.monotonic()
    assert put_record(Simulate=word).status_code == 200
    assert time.monotonic() - started >= 0.2
    assert [effect["answered"] for effect in sim.effects()] == [True]


@pytest.mark.parametrize(
    ("fields", "status", "answer"),
    [
        ({"note": "simulate: 500"}, 500, {"message": "Server Error"}),
        ({"note": "Simulate:unknown case"}, 404, {"message": "The survey response was not found."}),
        ({"number_customergauge": "unknown-case"}, 404, {"message": "The survey response was not found."}),
        ({"note": "simulate: partial"}, 200, {"data": {"status": True, "note": True, "assignee": False}}),
    ],
)
def test_status_change_accepts_words_in_note_and_number(
    sim: Simulator, put_status: Call, fields: dict[str, str], status: int, answer: dict[str, Any]
) -> None:
    got = put_status(**fields)
    assert (got.status_code, got.json()) == (status, answer)
    assert [effect["answered"] for effect in sim.effects()] == ([True] if status == 200 else [])


def test_response_accepts_words_in_its_fields(sim: Simulator, call: Call) -> None:
    def post(**fields: str) -> requests.Response:
        return call("POST", RESPONSE, data={"Email": "lee@example.net"} | fields)

    assert post(Simulate="500").json() == {"Error": {"Message": "Server Error", "Code": 500}}
    assert post(Simulate="unrecognised").json()["Error"]["Code"] == 499999
    assert post(Simulate="unrecognised 200").json() == {"Data": False}
    assert post(Simulate="nonsense").json()["Error"]["Code"] == 300001
    assert post(Email="503@example.com").status_code == 503
    assert sim.effects() == []
    assert post(Simulate="500 once").status_code == 500
    assert post(Simulate="500 once").status_code == 200


def test_file_accepts_words_in_its_name(sim: Simulator, upload: Call, call: Call) -> None:
    assert upload("march.simulate-500-once.csv", key="a").status_code == 500
    assert upload("march.simulate-500-once.csv", key="a").status_code == 200
    assert upload("simulate-already-processed.csv").json()["Error"]["Code"] == 400103
    assert upload("simulate-html-part-1-of-3.csv").text.startswith("<!DOCTYPE html>")
    xml = call("POST", "api/v4.1/file/contact.xml", files={"file": ("simulate-already-processed.csv", b"x")})
    assert xml.text == "<Error><Message>This upload has already been processed</Message><Code>400103</Code></Error>"
    assert upload("march.simulate-500s.csv").status_code == 200
    assert len(sim.effects()) == 2


def test_credentials_are_checked_before_scenarios(call: Call) -> None:
    body = {"configuration": "m", "record": {"Simulate": "500"}}
    assert call("PUT", "imports/records/", json=body, headers={"Authorization": "x"}).status_code == 401
