"""Each knob of the record, link, case and response endpoints, and how knobs are changed and refused."""

import time
from collections.abc import Callable

import pytest
import requests

from gaugepost_simulator import Simulator, SimulatorError

Call = Callable[..., requests.Response]


def test_knobs_come_back_as_they_are(sim: Simulator) -> None:
    before = sim.knobs()
    assert sim.knobs(token_lifetime=60)["token_lifetime"] == 60
    assert sim.knobs(token_lifetime=None) == before


@pytest.mark.parametrize(
    ("knobs", "named"),
    [
        ({"upload_intervall": 5}, "upload_intervall"),
        ({"upload_interval": "5"}, "upload_interval"),
        ({"upload_interval": -1}, "upload_interval"),
        ({"upload_interval": True}, "upload_interval"),
        ({"upload_interval_mode": "maybe"}, "upload_interval_mode"),
        ({"invalid_key_code": 1}, "invalid_key_code"),
        ({"any_mapping": 1}, "any_mapping"),
        ({"reject_rows": ["2"]}, "reject_rows[0]"),
        ({"reject_rows": 2}, "reject_rows"),
        ({"csv_delimiter": "ab"}, "csv_delimiter"),
        ({"latency_ms": {"everything": 1}}, "latency_ms.everything"),
        ({"latency_ms": {"all": -1}}, "latency_ms"),
        ({"credentials": {"mars": {}}}, "credentials.mars"),
        ({"credentials": {"eu": {"password": "x"}}}, "credentials.eu.password"),
        ({"mappings": {"m": {"type": "Ticket"}}}, "mappings.m.type"),
        ({"mappings": []}, "mappings"),
        ({"close_loop": {"false_parts": ["all"]}}, "close_loop.false_parts[0]"),
    ],
)
def test_a_knob_that_does_not_fit_is_refused_by_name(sim: Simulator, knobs: dict[str, object], named: str) -> None:
    before = sim.knobs()
    answer = requests.patch(f"{sim.url}/_simulator/knobs", json=knobs, timeout=30)
    assert answer.status_code == 422
    assert answer.json()["name"] == named
    assert named in answer.json()["message"]
    assert sim.knobs() == before


def test_knobs_that_are_no_object_are_refused(sim: Simulator) -> None:
    assert requests.patch(f"{sim.url}/_simulator/knobs", json=[1], timeout=30).status_code == 422
    assert requests.patch(f"{sim.url}/_simulator/knobs", data="{", timeout=30).status_code == 422


def test_latency_is_waited_before_the_effect(sim: Simulator, put_record: Call, put_link: Call) -> None:
    sim.knobs(latency_ms={"records": 200})
    started = time.monotonic()
    assert put_record().status_code == 200
    assert time.monotonic() - started >= 0.2
    (effect,) = sim.effects()
    assert effect["at"] - effect["received_at"] >= 0.19
    sim.knobs(latency_ms={"all": 1000, "records": 0})
    put_link()
    for _ in range(3):
        put_record()
    link, *records = sim.effects()[1:]
    assert link["at"] - link["received_at"] >= 0.99
    assert min(record["at"] - record["received_at"] for record in records) < 0.9


def test_an_idempotency_key_is_honoured_only_with_its_knob(sim: Simulator, put_link: Call) -> None:
    assert put_link(key="job-1").json() != put_link(key="job-1").json()
    assert sim.state()["doubled"] == {"eu": 1, "us": 0, "au": 0}
    sim.knobs(honour_idempotency_key=True)
    assert put_link(key="job-2").json() == put_link(key="job-2").json()
    assert put_link("us", key="job-2").status_code == 200
    assert [e["region"] for e in sim.effects(key="job-2")] == ["eu", "us"]
    assert sim.state()["doubled"]["eu"] == 1


def test_unlisted_mapping_is_accepted_or_not_found(sim: Simulator, put_record: Call, put_link: Call) -> None:
    assert put_record(configuration="whatever").status_code == 200
    sim.knobs(any_mapping=False, mappings={"known": {}})
    assert put_record(configuration="known").status_code == 200
    for answer in (put_record(configuration="whatever"), put_link(configuration="whatever")):
        assert (answer.status_code, answer.json()) == (
            404,
            {"message": "The inbound mapping [whatever] was not found."},
        )


def test_a_mapping_may_exist_in_some_regions_only(sim: Simulator, put_record: Call) -> None:
    sim.knobs(mappings={"m": {"regions": ["us"]}})
    assert put_record("us", configuration="m").status_code == 200
    assert put_record("eu", configuration="m").status_code == 404


def test_unknown_headings_are_dropped_silently(sim: Simulator, put_record: Call) -> None:
    sim.knobs(mappings={"m": {"fields": ["Email", "Account Name"]}})
    answer = put_record(configuration="m", **{"Account Name": "ACME", "account name": "x", "NPS": "9"})
    assert (answer.status_code, answer.content) == (200, b"")
    assert sim.effects()[0]["body"] == {"Email": "joe.doe@example.com", "Account Name": "ACME"}


def test_renamed_required_heading_counts_as_missing(sim: Simulator, put_record: Call) -> None:
    sim.knobs(mappings={"m": {"fields": ["E-Mail", "Phone"], "required": ["E-Mail"]}})
    answer = put_record(configuration="m")
    assert answer.status_code == 422
    assert answer.json()["errors"]["E-Mail"] == ["The E-Mail field is required."]
    assert answer.json()["message"] == "The E-Mail field is required. (and 2 more errors)"


@pytest.mark.parametrize(
    ("kind", "record", "missing"),
    [
        ("Account", {"Account Name": "ACME"}, []),
        ("Account", {"Email": "joe@example.com"}, ["Account Name"]),
        ("Account Alias", {"Account Name": "ACME"}, ["Alias"]),
        ("Contact", {"Phone": "123"}, []),
        ("Contact", {"Account Name": "ACME"}, ["Email", "Phone"]),
        ("Survey Data", {"Email": "joe@example.com"}, []),
        ("External Response", {"Email": "joe@example.com"}, []),
    ],
)
def test_each_type_of_mapping_requires_its_identifier(
    sim: Simulator, call: Call, kind: str, record: dict[str, str], missing: list[str]
) -> None:
    sim.knobs(mappings={"m": {"type": kind}})
    answer = call("PUT", "imports/records/", json={"configuration": "m", "record": record})
    assert list(answer.json()["errors"] if answer.content else []) == missing


def test_the_short_names_of_older_accounts_are_mappings_of_their_type(call: Call, put_link: Call) -> None:
    body = {"configuration": "account", "record": {"Account Name": "ACME"}}
    assert call("PUT", "imports/records/", json=body).status_code == 200
    assert put_link(configuration="account").status_code == 422
    assert put_link(configuration="survey-data").status_code == 200


@pytest.mark.parametrize(
    ("knob", "text"),
    [
        ("no_campaign_emails", "Could not match any campaign filter."),
        ("duplicate_emails", "Personal link record could not be created because it duplicates with another record."),
        ("duplicate_rule_emails", "Record could not be imported because it duplicates with another record."),
    ],
)
def test_a_campaign_refuses_listed_emails(
    sim: Simulator, put_link: Call, put_record: Call, knob: str, text: str
) -> None:
    sim.knobs(**{knob: ["lee@example.net"]})
    answer = put_link(Email="lee@example.net")
    assert (answer.status_code, answer.json()) == (400, {"message": text})
    assert sim.effects() == []
    assert put_link().status_code == 200
    assert put_record(Email="lee@example.net").status_code == 200


def test_a_second_invitation_is_a_duplicate_only_with_its_knob(sim: Simulator, put_link: Call) -> None:
    assert [put_link().status_code, put_link().status_code] == [200, 200]
    sim.knobs(repeat_email_is_duplicate=True)
    assert put_link().status_code == 400
    assert put_link("us").status_code == 200
    assert put_link("us").json()["message"].startswith("Personal link record could not be created")


def test_progressive_only_forbids_jumps(sim: Simulator, put_status: Call) -> None:
    assert put_status("closed").status_code == 200
    sim.knobs(close_loop={"progressive_only": True})
    answers = [put_status(s).status_code for s in ("progress", "open", "closed", "open", "progress", "closed")]
    assert answers == [422, 200, 422, 422, 200, 200]
    assert put_status("progress", number_customergauge="1").status_code == 422


def test_a_comment_can_be_required(sim: Simulator, put_status: Call) -> None:
    sim.knobs(close_loop={"comment_required": True})
    assert put_status().json()["message"] == "The note field is required."
    assert put_status(note="done").status_code == 200


def test_parts_can_be_false_in_a_200(sim: Simulator, put_status: Call) -> None:
    sim.knobs(close_loop={"false_parts": ["note"]})
    answer = put_status(note="x", assignee="john.doe@example.com")
    assert answer.json() == {"data": {"status": True, "note": False, "assignee": True}}


@pytest.mark.parametrize(
    ("unsent", "data"),
    [
        ("true", {"status": True, "note": True, "assignee": True}),
        ("false", {"status": True, "note": False, "assignee": False}),
        ("omit", {"status": True}),
    ],
)
def test_parts_that_were_not_sent_are_answered_as_set(
    sim: Simulator, put_status: Call, unsent: str, data: dict[str, bool]
) -> None:
    sim.knobs(close_loop={"unsent_parts": unsent})
    assert put_status().json()["data"] == data


def test_a_case_can_be_unknown(sim: Simulator, put_status: Call) -> None:
    sim.knobs(close_loop={"unknown_cases": ["53499"]})
    assert put_status().status_code == 404
    assert put_status(number_customergauge="1").status_code == 200
    assert len(sim.effects()) == 1


def test_the_required_fields_of_a_response_can_be_set(sim: Simulator, call: Call) -> None:
    sim.knobs(response_required=["SurveyCompletedDate"])
    path = "api/v4.1/transactions/response.json"
    answer = call("POST", path, data={"Email": "a@example.net"})
    assert answer.json()["Error"]["Message"] == "Field surveycompleteddate is required but seems to be empty."
    assert call("POST", path, data={"SurveyCompletedDate": "2018-01-01 13:59:12"}).status_code == 200


def test_numbers_are_workflow_states_with_the_extended_set(sim: Simulator, call: Call) -> None:
    sim.knobs(extended_workflow_status=True)
    form = {"Email": "a@example.net", "WorkflowStatus": "42"}
    assert call("POST", "api/v4.1/transactions/response.json", data=form).status_code == 200
    assert call("POST", "api/v4.1/transactions/response.json", data=form | {"WorkflowStatus": "100"}).status_code == 400


def test_knobs_of_the_start_are_those_after_a_reset() -> None:
    with Simulator({"token_lifetime": 7, "close_loop": {"comment_required": True}}) as own:
        own.knobs(token_lifetime=8)
        own.reset(keep=("knobs",))
        assert own.knobs()["token_lifetime"] == 8
        own.reset()
        assert own.knobs()["token_lifetime"] == 7
        assert own.knobs()["close_loop"]["comment_required"] is True


def test_a_simulator_with_a_wrong_knob_does_not_start() -> None:
    with pytest.raises(SimulatorError, match="no_such_knob"), Simulator({"no_such_knob": 1}):
        pass
