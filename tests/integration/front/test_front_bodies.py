"""Bodies of the front: too long, broken, ambiguous; `Idempotency-Key` and `Prefer`."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from gaugepost import JobState, PersonalLink, Region
from gaugepost_ops.web.front.outcomes import LONGEST_WAIT_S, wait_of
from gaugepost_ops.web.front.routes import Route, find
from gaugepost_ops.web.large_bodies import MOST_BYTES
from support.hosts import FrontHost
from support.wait import wait_until

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
RECORD = {"configuration": "map", "record": {"Email": "joe.doe@example.com"}}


def send(front: FrontHost, method: str, path: str, region: str = "eu", **how: Any) -> requests.Response:
    scheme = "api_key" if "v4.1" in path else "Bearer"
    headers = {"Authorization": f"{scheme} {front.key}"} | how.pop("headers", {})
    return requests.request(method, front.url("", region, path), headers=headers, timeout=90, **how)


def jobs(front: FrontHost) -> int:
    front.wait()
    counts = front.stack.counts()
    return sum(int(counts[state]) for state in ("queued", "delivered", "dead", "parked", "cancelled"))


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 422),
        (b"[" * 100_000, 422),
        (b"\xff\xfe", 422),
        (b'{"configuration": "a", "configuration": "b", "record": {"Email": "a@b.example"}}', 400),
        (b'{"configuration": "a", "record": {"Email": "a@b.example", "n": NaN}}', 400),
        (b'{"configuration": "a", "record": {"Email": "\\ud800"}}', 422),
        (b'{"configuration": "a", "record": {"Email": {"a": 1}}}', 422),
        (b'{"configuration": "a", "record": [1]}', 422),
        (b'{"configuration": ["a"], "record": {"Email": "a"}}', 422),
        (json.dumps({"configuration": "a", "record": {"Email": "x" * 1_000_001}}).encode(), 413),
    ],
    ids=lambda value: str(value)[:40],
)
def test_broken_body_is_refused_in_the_shape_of_customergauge(front: FrontHost, body: bytes, status: int) -> None:
    before = jobs(front)
    for path in ("records/", "personal-link/"):
        answer = send(front, "PUT", path, data=body, headers=JSON)
        assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/json")
        assert isinstance(answer.json()["message"], str)
        assert "a@b.example" not in answer.text
    assert jobs(front) == before


@pytest.mark.parametrize(
    ("pairs", "field"),
    [
        (b"configuration=map&record%5BEmail%5D=%E9", "Email"),
        (b"configuration=map&record[Email]=\xe9", "Email"),
        (b"configuration=map&record[Email]=%ED%A0%80", "Email"),
        (b"configuration=%E9&record[Email]=a", "configuration"),
        (b"configuration=map&record[Email]=a&record[%E9]=a", "\ufffd"),
        (b"configuration=map&record[Email]=a&record[a][]=1&record[a][]=2", "record[a][]"),
        (b"configuration=map&record[Email]=a&record[a][b]=1", "record[a][b]"),
        (b"configuration=map&record[Email]=a&record[]=1", "record[]"),
        (b"configuration=map&record[Email]=a&configuration[=1", "configuration["),
    ],
    ids=str,
)
def test_form_that_would_change_is_refused_by_field(front: FrontHost, pairs: bytes, field: str) -> None:
    before = jobs(front)
    answer = send(front, "PUT", "records/", data=pairs, headers=FORM)
    assert (answer.status_code, [*answer.json()["errors"]]) == (422, [field]), answer.text
    assert jobs(front) == before


def test_unknown_list_in_a_form_is_ignored_as_other_unknown_fields(front: FrontHost) -> None:
    body = b"configuration=map&record[Email]=a@b.example&tags[]=1&tags[]=2"
    assert send(front, "PUT", "records/", data=body, headers=FORM).status_code == 200


@pytest.mark.parametrize(
    ("kind", "body", "field"),
    [
        (FORM["Content-Type"], b"Email=a@b.example&Name=%E9", "Name"),
        (FORM["Content-Type"], b"Email=a@b.example&x[]=1&x[]=2", "x[]"),
        (
            "multipart/form-data; boundary=b",
            (
                b'--b\r\nContent-Disposition: form-data; name="Email"\r\n\r\na@b.example\r\n'
                b'--b\r\nContent-Disposition: form-data; name="Name"\r\n\r\n\xe9\r\n--b--\r\n'
            ),
            "Name",
        ),
    ],
    ids=lambda value: str(value)[:30],
)
def test_v41_form_that_would_change_is_refused_by_field(front: FrontHost, kind: str, body: bytes, field: str) -> None:
    before = jobs(front)
    answer = send(front, "POST", "v4.1/transactions/response.json", data=body, headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["Error"]["Code"]) == (400, 300001), answer.text
    assert f"{field}: expected" in answer.json()["Error"]["Message"]
    assert jobs(front) == before


def test_callers_that_wait_keep_no_memory_from_other_bodies(front: FrontHost) -> None:
    ledger = front.stack.producer.ledger(Region.EU)
    ledger.hold("configuration:large", "maintenance", "test")
    large = {"configuration": "large", "record": {"Email": "a@b.example", "text": "x" * 950_000}}
    parked = front.stack.counts()["parked"]
    number = MOST_BYTES // 950_000 + 2
    with ThreadPoolExecutor(number) as pool:
        waiting = []
        for turn in range(1, number + 1):
            headers = {"Prefer": "wait=60", "Idempotency-Key": f"large-{turn}"}
            waiting.append(pool.submit(send, front, "PUT", "personal-link/", json=large, headers=headers))
            wait_until(lambda: front.stack.counts()["parked"] == parked + turn)  # noqa: B023 - it is called here
        again = send(front, "PUT", "personal-link/", json=large, headers={"Prefer": "wait=0"})
        ledger.cancel([again.headers["Gaugepost-Job"]])
        assert all(front.stack.producer.cancel(key=f"large-{turn}", region=Region.EU) for turn in range(1, number + 1))
        assert {one.result().status_code for one in waiting} == {409}
    assert again.status_code == 202
    ledger.resume("configuration:large", "test")


@pytest.mark.parametrize("kind", ["json", "xml"])
@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        (
            {"Content-Type": "multipart/form-data; boundary=b"},
            b'--b\r\nContent-Disposition: form-data; name="file',
            400,
        ),
        ({"Content-Type": "multipart/form-data"}, b"--b--", 400),
        ({"Content-Type": "multipart/form-data; boundary=" + "b" * 300}, b"--b--", 400),
        ({"Content-Type": "application/xml"}, b"<a/>", 400),
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"&".join([b"a=1"] * 5_000), 400),
        ({"Content-Type": "multipart/form-data; boundary=b"}, b"x" * 2_200_000, 413),
    ],
    ids=lambda value: str(value)[:40],
)
def test_broken_form_is_refused_in_the_shape_of_v41(
    front: FrontHost, kind: str, headers: dict[str, str], body: bytes, status: int
) -> None:
    before = jobs(front)
    for path in ("transactions/response", "file/contact"):
        answer = send(front, "POST", f"v4.1/{path}.{kind}", data=body, headers=headers)
        assert answer.status_code == status, answer.text
        assert answer.text.startswith("<Error><Message>" if kind == "xml" else '{"Error":{"Message":')
    assert jobs(front) == before


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", b"a"),
        ("a.csv", b""),
        ("a.xlsx", b"PK"),
        ("a.xml", b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'),
        ("a.csv", b"Email\n" + b"a@example.net\n" * 2_001),
        ("a/b.csv", b"Email\na@example.net\n"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_file_that_enqueue_refuses_is_refused(front: FrontHost, name: str, content: bytes) -> None:
    before = jobs(front)
    answer = send(front, "POST", "v4.1/file/contact.json", files={"file": (name, content)})
    assert (answer.status_code, answer.json()["Error"]["Code"]) == (400, 300001), answer.text
    assert jobs(front) == before


def test_idempotency_key_returns_the_first_job_and_its_answer(front: FrontHost) -> None:
    key = {"Idempotency-Key": "order-1"}
    answers = [send(front, "PUT", "personal-link/", json=RECORD, headers=key) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert len({answer.headers["Gaugepost-Job"] for answer in answers}) == 1
    assert len(front.effects()) == 1
    other = send(front, "PUT", "records/", json=RECORD, headers=key)
    assert (other.status_code, other.headers["Gaugepost-Job"]) == (409, answers[0].headers["Gaugepost-Job"])
    both = send(front, "PUT", "records/", json=RECORD, headers={"Idempotency-Key": "x" * 201})
    assert both.status_code == 422


def test_refused_call_that_is_repeated_gets_the_same_refusal(front: FrontHost) -> None:
    front.sim.knobs(no_campaign_emails=[RECORD["record"]["Email"]])
    key = {"Idempotency-Key": "refused"}
    answers = [send(front, "PUT", "personal-link/", json=RECORD, headers=key) for _ in range(2)]
    refusal = (400, {"message": "Could not match any campaign filter."})
    assert [(answer.status_code, answer.json()) for answer in answers] == [refusal] * 2


def test_refusal_of_a_job_of_another_source_leaves_that_job(front: FrontHost) -> None:
    front.sim.knobs(no_campaign_emails=[RECORD["record"]["Email"]])
    job = front.stack.producer.enqueue(
        PersonalLink(region=Region.EU, **RECORD, source="shop", idempotency_key="of-shop")
    )
    wait_until(lambda: job.state() is JobState.PARKED)
    answer = send(front, "PUT", "personal-link/", json=RECORD, headers={"Idempotency-Key": "of-shop"})
    assert (answer.status_code, answer.headers["Gaugepost-Job"]) == (400, job.id)
    assert job.state() is JobState.PARKED
    job.cancel()


def test_large_jobs_that_wait_delay_no_answer_to_others(front: FrontHost) -> None:
    ledger = front.stack.producer.ledger(Region.EU)
    ledger.hold("configuration:large", "maintenance", "test")
    large = {"configuration": "large", "record": {"Email": "a@b.example", "text": "x" * 900_000}}
    with ThreadPoolExecutor(6) as pool:
        waiting = [
            pool.submit(send, front, "PUT", "personal-link/", json=large, headers={"Prefer": "wait=6"})
            for _ in range(6)  # more than 4 MB, so they are read in several calls
        ]
        wait_until(lambda: front.stack.counts()["parked"] >= 6)
        assert send(front, "PUT", "personal-link/", json=RECORD).status_code == 200
        assert {one.result().status_code for one in waiting} == {202}
    ledger.cancel([one.result().headers["Gaugepost-Job"] for one in waiting])
    ledger.resume("configuration:large", "test")


def test_refusal_of_a_million_codes_is_short(front: FrontHost) -> None:
    body = f"Email=a@b.example&ReasonCode={',' * 900_000}"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = send(front, "POST", "v4.1/transactions/response.json", data=body, headers=headers)
    assert (answer.status_code, len(answer.content) < 100_000) == (400, True)


def test_link_that_takes_too_long_is_202_and_found_later(front: FrontHost) -> None:
    front.sim.knobs(latency_ms={"personal_link": 2_000})
    answer = send(front, "PUT", "personal-link/", json=RECORD, headers={"Prefer": "wait=0"})
    assert (answer.status_code, answer.headers["Location"]) == (202, f"/v1/jobs/{answer.headers['Gaugepost-Job']}")
    shown = front.gateway.call("GET", f"{answer.headers['Location']}?wait=60", front.key).json()
    assert shown["result"]["survey_link"].startswith("https://")


def test_job_that_is_cancelled_meanwhile_is_a_conflict(front: FrontHost) -> None:
    ledger = front.stack.producer.ledger(Region.AU)
    ledger.hold("", "maintenance", "test")
    first = send(
        front, "PUT", "personal-link/", "au", json=RECORD, headers={"Prefer": "wait=0", "Idempotency-Key": "k"}
    )
    assert first.status_code == 202
    ledger.cancel([first.headers["Gaugepost-Job"]])
    again = send(front, "PUT", "personal-link/", "au", json=RECORD, headers={"Idempotency-Key": "k"})
    assert (again.status_code, "cancelled" in again.json()["message"]) == (409, True)
    ledger.resume("", "test")


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        (None, 25),
        ("wait=7", 7),
        ("respond-async, wait = 7", 7),
        ("wait=7; foo", 7),
        ("wait=999999", LONGEST_WAIT_S),
        ("wait=-1", 25),
        ("await=3", 25),
        ("wait=soon", 25),
    ],
)
def test_prefer_says_how_long_a_call_waits(prefer: str | None, seconds: int) -> None:
    route = find("PUT", "/customergauge/eu/personal-link/")
    assert isinstance(route, Route)
    assert wait_of(route, prefer) == seconds
