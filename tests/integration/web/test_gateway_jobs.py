"""`POST /v1/jobs` with one job or an array, and `GET /v1/jobs/{id}`."""

from __future__ import annotations

import base64
import http.client
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gaugepost import Region
from gaugepost_ops.cli.jobs.json_lines import MAX_FILE_LINE
from support.gateway import EMAIL, GatewayProcess, job
from support.redis_server import RedisServer
from support.wait import wait_until


def stored(gateway: GatewayProcess, region: str = "eu") -> int:
    return gateway.producer.ledger(Region(region)).summary()["queued"]


def test_accepted_job_is_in_redis_and_can_be_shown(gateway: GatewayProcess, key: str) -> None:
    answer = gateway.post(key, job(idempotency_key="order-1"))
    row = answer.json()
    assert (answer.status_code, answer.headers["Location"]) == (201, f"/v1/jobs/{row['id']}")
    expected = {"region": "eu", "kind": "record", "state": "queued", "duplicate": False, "warnings": []}
    assert row == {"id": row["id"], **expected}
    assert gateway.producer.job(row["id"]).job["record"] == {"Email": EMAIL}
    shown = gateway.call("GET", answer.headers["Location"], key)
    assert shown.json() == json.loads(json.dumps(gateway.producer.job(row["id"]).to_dict()))
    assert EMAIL not in shown.text


def test_same_idempotency_key_returns_the_first_job(gateway: GatewayProcess, key: str) -> None:
    first = gateway.post(key, job(), Idempotency_Key="order-1")
    again = gateway.post(key, job(idempotency_key="order-1"))
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json() | {"duplicate": True}


def test_idempotency_key_of_another_content_is_a_conflict(gateway: GatewayProcess, key: str) -> None:
    first = gateway.post(key, job(idempotency_key="order-1")).json()
    answer = gateway.post(key, job(idempotency_key="order-1", configuration="another"))
    problem = answer.json()
    assert (answer.status_code, problem["id"], problem["title"]) == (409, first["id"], "Conflict")
    assert stored(gateway) == 1


def test_header_that_contradicts_the_field_is_refused(gateway: GatewayProcess, key: str) -> None:
    answer = gateway.post(key, job(idempotency_key="a"), Idempotency_Key="b")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "idempotency_key"


@pytest.mark.parametrize(
    ("kind", "keys", "said"),
    [
        ("application/x-ndjson", [b"a"], "lines have no header Idempotency-Key"),
        ("application/json", [b"a", b"b"], "only once"),
        ("application/json", [b"a", b"a"], "only once"),
        ("application/json", [b"caf\xc3\xa9"], "expected ASCII"),
    ],
)
def test_idempotency_key_that_could_get_lost_is_refused(
    gateway: GatewayProcess, key: str, kind: str, keys: list[bytes], said: str
) -> None:
    body = json.dumps(job()).encode()
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    connection.putrequest("POST", "/v1/jobs")
    headers = [("Authorization", f"Bearer {key}"), ("Content-Type", kind), ("Content-Length", str(len(body)))]
    for name, value in [*headers, *(("Idempotency-Key", one) for one in keys)]:
        connection.putheader(name, value)
    connection.endheaders(body)
    answer = connection.getresponse()
    assert (answer.status, said in json.loads(answer.read())["detail"]) == (400, True)
    connection.close()
    assert stored(gateway) == 0


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ('{"kind": "record"', 400, "line 1, column 18"),
        ('{"kind":\n nonsense}', 400, "line 2, column 2"),
        (json.dumps(job())[:-1] + ', "region": "us"}', 400, "each key only once"),
        (json.dumps(job()).replace(f'"{EMAIL}"', "NaN"), 400, "NaN is no JSON"),
        ("[" * 100_000, 400, "nested too deeply"),
        ('{"a":' * 100_000, 400, "nested too deeply"),
        (b'{"kind": "\xff"}', 400, "byte 11 is not UTF-8"),
        ("17", 400, "expected a job"),
        ("", 400, "line 1, column 1"),
        ("[]", 400, "1 to 1,000 jobs"),
        (json.dumps(job(record={"Email": "\ud800"})), 422, "no lone surrogates"),
        (json.dumps(job(record={})), 422, "record: expected it not to be empty"),
        (json.dumps(job(region="mars")), 422, "region: expected 'eu', 'us' or 'au'"),
        (json.dumps(job(emial="x")), 422, "emial: unknown key"),
        (json.dumps(job(record={"Email": "x" * 1_000_001})), 413, "at most 1,000,000 bytes"),
        (json.dumps({"kind": "file", "region": "eu", "family": "contact", "path": "a.csv"}), 422, "content_base64"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_wrong_body_is_refused_with_the_place(
    gateway: GatewayProcess, key: str, body: str | bytes, status: int, said: str
) -> None:
    answer = gateway.post(key, body)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
    problem = answer.json()
    assert said in problem["detail"]
    assert (problem["type"], problem["status"]) == ("about:blank", status)
    assert EMAIL not in answer.text
    assert stored(gateway) == 0


def test_array_is_stored_as_a_whole(gateway: GatewayProcess, key: str) -> None:
    jobs = [job(record={"Email": f"person{n}@example.net"}) for n in range(1_000)]
    answer = gateway.post(key, jobs)
    rows = answer.json()
    assert (answer.status_code, len(rows), stored(gateway)) == (200, 1_000, 1_000)
    views = [gateway.producer.job(row["id"], region=Region.EU) for row in (rows[0], rows[-1])]
    assert [view.job["record"] for view in views] == [jobs[0]["record"], jobs[-1]["record"]]


def test_array_with_one_wrong_job_stores_nothing(gateway: GatewayProcess, key: str) -> None:
    answer = gateway.post(key, [job(), job(record={}), job(configuration=7)])
    assert answer.status_code == 422
    assert [(error["index"], error["field"]) for error in answer.json()["errors"]] == [
        (1, "record"),
        (2, "configuration"),
    ]
    assert stored(gateway) == 0


def test_array_names_duplicates_in_its_rows(gateway: GatewayProcess, key: str) -> None:
    first = gateway.post(key, job(idempotency_key="a")).json()
    rows = gateway.post(key, [job(idempotency_key="a"), job(idempotency_key="b"), job(idempotency_key="b")]).json()
    assert [row["duplicate"] for row in rows] == [True, False, True]
    assert (rows[0]["id"], rows[1]["id"]) == (first["id"], rows[2]["id"])
    assert stored(gateway) == 2


def test_array_with_a_conflict_stores_nothing(gateway: GatewayProcess, key: str) -> None:
    first = gateway.post(key, job(idempotency_key="a")).json()
    jobs = [job(idempotency_key="b"), job(), job(idempotency_key="a", configuration="b")]
    answer = gateway.post(key, jobs)
    problem = answer.json()
    assert (answer.status_code, answer.headers["Content-Type"]) == (409, "application/problem+json")
    assert (problem["index"], problem["id"]) == (2, first["id"])
    assert "nothing was stored: job 2" in problem["detail"]
    assert stored(gateway) == 1
    assert gateway.post(key, jobs[:2]).json()[0]["duplicate"] is False


def test_conflict_between_two_jobs_of_an_array_stores_nothing(gateway: GatewayProcess, key: str) -> None:
    answer = gateway.post(key, [job(), job(idempotency_key="a"), job(idempotency_key="a", configuration="b")])
    problem = answer.json()
    assert (answer.status_code, problem["index"], problem["first"]) == (409, 2, 1)
    assert "id" not in problem
    assert stored(gateway) == 0


def test_array_that_races_with_its_conflict_is_stored_whole_or_not(gateway: GatewayProcess, key: str) -> None:
    def race(side: int) -> list[int]:
        answers = []
        for turn in range(20):
            jobs = [job(record={"Email": f"{side}-{turn}-{n}@example.net"}) for n in range(9)]
            last = job(idempotency_key=f"race-{turn}", configuration=f"of-{side}")
            answers.append(gateway.post(key, [*jobs, last]).status_code)
        return answers

    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(race, range(3)))
    assert [sorted(turn) for turn in zip(*answers, strict=True)] == [[200, 409, 409]] * 20
    assert stored(gateway) == 20 * 10


def test_array_of_two_regions_is_refused(gateway: GatewayProcess, key: str) -> None:
    answer = gateway.post(key, [job(), job(region="us")])
    assert (answer.status_code, stored(gateway), stored(gateway, "us")) == (422, 0, 0)
    assert "jobs of one region" in answer.json()["detail"]


def test_longer_array_is_too_large(gateway: GatewayProcess, key: str) -> None:
    answer = gateway.post(key, [job()] * 1_001)
    assert (answer.status_code, stored(gateway)) == (413, 0)
    assert "x-ndjson" in answer.json()["detail"]


def test_body_over_the_limit_is_refused_before_it_is_read(gateway: GatewayProcess, key: str) -> None:
    answer = gateway.post(key, b" " * (MAX_FILE_LINE + 4_000_000))
    assert answer.status_code == 413


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", ""])
def test_other_content_type_is_refused(gateway: GatewayProcess, key: str, kind: str) -> None:
    answer = gateway.post(key, json.dumps(job()), Content_Type=kind)
    assert (answer.status_code, stored(gateway)) == (415, 0)


def test_file_is_taken_with_its_content(gateway: GatewayProcess, key: str) -> None:
    content = base64.b64encode(b"Email,Date\na@example.net,2026-01-01 00:00:00\n").decode()
    row = gateway.post(
        key, {"kind": "file", "region": "eu", "family": "contact", "filename": "a.csv", "content_base64": content}
    ).json()
    shown = gateway.call("GET", f"/v1/jobs/{row['id']}", key).json()
    assert (shown["state"], shown["filename"][:2], shown["rows"]) == ("waiting", "a.", 1)
    assert shown["due"] is not None


def test_one_idempotency_key_at_once_makes_one_job(gateway: GatewayProcess, key: str) -> None:
    def race(number: int) -> list[int]:
        return [gateway.post(key, job(idempotency_key=f"race-{number}-{n}")).status_code for n in range(25)]

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(race, [0, 0, 1, 1]))
    assert sorted(status for one in answers for status in one) == [200] * 50 + [201] * 50
    assert stored(gateway) == 50


def test_unknown_job_is_not_found(gateway: GatewayProcess, key: str) -> None:
    for name in ("absent", "0" * 32, "%2e%2e", "a%0d%0aX-Injected:1"):
        answer = gateway.call("GET", f"/v1/jobs/{name}", key)
        assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/problem+json"), name
        assert "X-Injected" not in answer.headers


@pytest.mark.parametrize("wait", ["61", "-1", "soon"])
def test_wrong_wait_is_refused(gateway: GatewayProcess, key: str, wait: str) -> None:
    answer = gateway.call("GET", f"/v1/jobs/{'0' * 32}?wait={wait}", key)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "wait")


def test_waiting_request_answers_when_the_job_has_ended(gateway: GatewayProcess, key: str) -> None:
    ids = [gateway.post(key, job()).json()["id"] for _ in range(20)]

    def wait_for(job_id: str) -> Any:
        return gateway.call("GET", f"/v1/jobs/{job_id}?wait=60", key).json()["state"]

    with ThreadPoolExecutor(20) as pool:
        waiting = [pool.submit(wait_for, job_id) for job_id in ids]
        wait_until(lambda: any(one.running() for one in waiting))
        assert all(gateway.producer.cancel(job_id) for job_id in ids)
        assert [one.result() for one in waiting] == ["cancelled"] * 20


def test_waiting_request_answers_with_the_state_after_its_time(gateway: GatewayProcess, key: str) -> None:
    job_id = gateway.post(key, job()).json()["id"]
    assert gateway.call("GET", f"/v1/jobs/{job_id}?wait=1", key).json()["state"] == "queued"


def test_unknown_paths_and_methods_are_problems(gateway: GatewayProcess) -> None:
    for method, path, status in (("GET", "/v2", 404), ("PUT", "/v1/jobs", 405), ("GET", "//v1/jobs", 404)):
        answer = gateway.call(method, path)
        assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")


def test_jobs_that_arrive_together_are_each_stored_and_answered(
    gateway: GatewayProcess, server: RedisServer, key: str
) -> None:
    def send(source: int) -> list[tuple[int, str]]:
        bodies = [job(record={"Email": f"{source}-{n}@example.net"}) for n in range(20)]
        return [(answer.status_code, answer.json()["id"]) for answer in (gateway.post(key, one) for one in bodies)]

    with server.client() as client, ThreadPoolExecutor(8) as pool:
        answers = [one for some in pool.map(send, range(8)) for one in some]
        stored_ids = {name.decode().rpartition(":")[2] for name in client.scan_iter("gaugepost:{eu}:job:*")}
    assert {status for status, _ in answers} == {201}
    assert {job_id for _, job_id in answers} == stored_ids
    assert len(stored_ids) == 160


def test_backlog_that_is_nearly_full_refuses_only_those_without_room(server: RedisServer, tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, server.url, backlog_limit="5", namespace="nearly") as gateway:
        key = gateway.key("nearly")
        with ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(lambda _: gateway.post(key, job()).status_code, range(12)))
        assert sorted(answers) == [201] * 5 + [503] * 7
