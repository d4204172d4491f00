"""Each fault, and whether the request takes effect."""

import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests

from gaugepost_simulator import Simulator, SimulatorError
from support.wait import wait_until

Call = Callable[..., requests.Response]
BODY = b'{"configuration": "m", "record": {"Email": "joe@example.com"}}'


def test_a_cut_before_the_commit_leaves_no_effect(sim: Simulator, put_record: Call) -> None:
    sim.fault("cut_before_commit", endpoint="records")
    with pytest.raises(requests.ConnectionError):
        put_record(key="job-1")
    assert sim.effects() == []
    assert sim.state()["requests"]["eu.records.cut"] == 1


def test_a_cut_after_the_commit_leaves_its_effect_unanswered(sim: Simulator, put_record: Call) -> None:
    sim.fault("cut_after_commit", endpoint="records", times=1)
    with pytest.raises(requests.ConnectionError):
        put_record(key="job-1")
    assert put_record(key="job-1").status_code == 200
    assert [effect["answered"] for effect in sim.effects(key="job-1")] == [False, True]
    assert sim.state()["doubled"]["eu"] == 1


def test_a_short_body_announces_more_than_it_has(sim: Simulator, put_link: Call) -> None:
    sim.fault("short_body", endpoint="personal_link")
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        put_link()
    assert [effect["answered"] for effect in sim.effects()] == [False]


def test_a_slow_answer_comes_after_its_effect(sim: Simulator, put_link: Call) -> None:
    sim.fault("slow", endpoint="personal_link", seconds=0.3)
    started = time.monotonic()
    assert put_link().status_code == 200
    assert time.monotonic() - started >= 0.3
    assert sim.effects()[0]["answered"] is True


def test_request_without_waiting_for_slow_answer_takes_effect(
    sim: Simulator, call: Call, token: Callable[..., str]
) -> None:
    sim.fault("slow", endpoint="records", seconds=1)
    with pytest.raises(requests.Timeout):
        call("PUT", "imports/records/", data=BODY, timeout=0.2, headers={"Content-Type": "application/json"})
    (effect,) = wait_until(sim.effects)
    assert effect["answered"] is False
    assert token()


def test_trickled_answer_arrives_whole(sim: Simulator, put_link: Call) -> None:
    sim.fault("trickle", endpoint="personal_link", seconds=0.4)
    started = time.monotonic()
    assert put_link().json()["data"]["number_customergauge"] == 12345
    assert time.monotonic() - started >= 0.3
    assert sim.effects()[0]["answered"] is True


@pytest.mark.parametrize(
    ("fault", "code", "kind"), [("html", 200, "text/html"), ("broken_json", 502, "application/json")]
)
def test_unreadable_body_replaces_the_answer(sim: Simulator, put_link: Call, fault: str, code: int, kind: str) -> None:
    sim.fault(fault, endpoint="personal_link", code=code)
    answer = put_link()
    assert answer.status_code == code
    assert answer.headers["Content-Type"].startswith(kind)
    with pytest.raises(requests.JSONDecodeError):
        answer.json()
    assert sim.effects() == []


@pytest.mark.parametrize(
    ("path", "code", "body"),
    [
        ("imports/records/", 500, {"message": "Server Error"}),
        ("imports/records/", 429, {"message": "Too Many Attempts."}),
        ("imports/records/", 401, {"message": "Unauthenticated."}),
        ("api/v4.1/transactions/response.json", 503, {"Error": {"Message": "Service Unavailable", "Code": 503}}),
        ("api/v4.1/transactions/response.json", 401, {"Error": {"Message": "Invalid API key", "Code": 200000}}),
    ],
)
def test_status_without_body_has_body_of_its_answer_format(
    sim: Simulator, call: Call, path: str, code: int, body: dict[str, Any]
) -> None:
    for endpoint in ("records", "response"):
        sim.fault("status", code=code, endpoint=endpoint)
    answer = call("PUT" if "records" in path else "POST", path, data=BODY)
    assert (answer.status_code, answer.json()) == (code, body)
    assert sim.effects() == []


def test_a_status_can_have_a_body_and_headers_of_its_own(sim: Simulator, put_record: Call) -> None:
    sim.fault(
        "status", code=503, endpoint="records", body={"why": "maintenance"}, headers={"Retry-After": "7"}, times=1
    )
    sim.fault("status", code=400, endpoint="records", body="plain", times=1)
    sim.fault("status", code=204, endpoint="records", times=1)
    first, second, third = put_record(), put_record(), put_record()
    assert (first.json(), first.headers["Retry-After"]) == ({"why": "maintenance"}, "7")
    assert (second.text, second.headers["Content-Type"]) == ("plain", "text/plain; charset=utf-8")
    assert (third.status_code, third.content) == (204, b"")


def test_a_gateway_can_time_out_after_the_commit(sim: Simulator, put_record: Call) -> None:
    sim.fault("status", code=504, endpoint="records", commit=True)
    assert put_record().status_code == 504
    assert [effect["answered"] for effect in sim.effects()] == [False]


def test_the_token_endpoint_can_fail_too(sim: Simulator, token: Callable[..., str]) -> None:
    sim.fault("status", code=500, endpoint="token", region="us")
    with pytest.raises(KeyError):
        token("us")
    assert token("eu")
    assert sim.state()["requests"]["us.token.500"] == 1


def test_rule_applies_only_to_matching_requests(sim: Simulator, put_record: Call, put_link: Call) -> None:
    sim.fault("status", code=500, region="us", endpoint="records", contains="ACME")
    assert put_record("us", **{"Account Name": "ACME"}).status_code == 500
    assert put_record("us").status_code == 200
    assert put_record("eu", **{"Account Name": "ACME"}).status_code == 200
    assert put_link("us", **{"Account Name": "ACME"}).status_code == 200


def test_rule_skips_requests_and_ends_after_its_times(sim: Simulator, put_record: Call) -> None:
    sim.fault("status", code=500, endpoint="records", skip=1, times=2)
    assert [put_record().status_code for _ in range(5)] == [200, 500, 500, 200, 200]
    assert sim.faults()[0]["hits"] == 2


def test_a_probability_is_the_same_for_the_same_seed(sim: Simulator, put_record: Call) -> None:
    def statuses(seed: int) -> list[int]:
        sim.clear_faults()
        sim.fault("status", code=500, endpoint="records", probability=0.5, seed=seed)
        return [put_record().status_code for _ in range(20)]

    first = statuses(1)
    assert {200, 500} == set(first)
    assert statuses(1) == first
    assert statuses(2) != first


def test_first_matching_rule_applies(sim: Simulator, put_record: Call) -> None:
    sim.fault("status", code=500, endpoint="records", times=1)
    second = sim.fault("status", code=502, endpoint="records")
    assert [put_record().status_code for _ in range(3)] == [500, 502, 502]
    assert [rule["hits"] for rule in sim.faults()] == [1, 2]
    sim.clear_faults(second)
    assert put_record().status_code == 200
    assert len(sim.faults()) == 1


def test_several_rules_can_be_written_at_once(sim: Simulator) -> None:
    rules = [{"fault": "html"}, {"fault": "slow", "match": {"endpoint": "file"}}]
    answer = requests.post(f"{sim.url}/_simulator/faults", json=rules, timeout=30)
    assert (answer.status_code, len(answer.json())) == (201, 2)
    assert [rule["id"] for rule in sim.faults()] == answer.json()


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        ({}, "fault"),
        ({"fault": "explode"}, "fault"),
        ({"fault": "status"}, "code"),
        ({"fault": "status", "code": 99}, "code"),
        ({"fault": "redirect"}, "location"),
        ({"fault": "html", "match": {"endpoint": "mail"}}, "match.endpoint"),
        ({"fault": "html", "match": {"path": "/"}}, "match.path"),
        ({"fault": "html", "times": "1"}, "times"),
        ({"fault": "html", "probability": 2}, "probability"),
        ({"fault": "cut_after_commit", "commit": False}, "commit"),
    ],
)
def test_a_rule_that_does_not_fit_is_refused_by_name(sim: Simulator, rule: dict[str, Any], named: str) -> None:
    answer = requests.post(f"{sim.url}/_simulator/faults", json=[{"fault": "html"}, rule], timeout=30)
    assert (answer.status_code, answer.json()["name"]) == (422, named)
    assert sim.faults() == []


def test_unknown_rule_cannot_be_removed(sim: Simulator) -> None:
    with pytest.raises(SimulatorError, match="no such fault"):
        sim.clear_faults("77")


def test_fault_does_not_bypass_credentials(sim: Simulator, call: Call) -> None:
    sim.fault("cut_after_commit", endpoint="records")
    with pytest.raises(requests.ConnectionError):
        call("PUT", "imports/records/", data=BODY, headers={"Authorization": "Bearer x"})
    assert sim.effects() == []


def test_cut_closes_an_already_used_connection(sim: Simulator, token: Callable[..., str]) -> None:
    host, port = sim.url.removeprefix("http://").split(":")
    head = f"PUT /imports/eu/records/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token()}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
    sim.fault("cut_after_commit", endpoint="records", skip=1)
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(head.encode() + BODY)
        assert connection.recv(4096).startswith(b"HTTP/1.1 200 OK")
        connection.sendall(head.encode() + BODY)
        assert connection.recv(4096) == b""
    assert [effect["answered"] for effect in sim.effects()] == [True, False]


def test_a_redirect_goes_to_its_location(sim: Simulator, call: Call) -> None:
    sim.fault("redirect", endpoint="records", location="https://example.com/", code=307)
    answer = call("PUT", "imports/records/", data=BODY, allow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (307, "https://example.com/")
    assert sim.effects() == []
