"""Changes over HTTP: cancel and holds, who may do them, and the audit trail."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from gaugepost import Region
from gaugepost.ledger import Settlement
from gaugepost.ledger.api_keys import Scope
from gaugepost.transitions import Attempt, Dead, Decision, Delivered, Transition, Unknown
from gaugepost.verdict import Verdict
from support.gateway import GatewayProcess, job
from support.wait import wait_until
from support.worker_ledger import worker_ledger

_turns = count()


def trail(gateway: GatewayProcess, region: Region = Region.EU) -> list[tuple[Any, ...]]:
    rows = [entry.to_dict() for entry in gateway.producer.ledger(region).audit.read()]
    return [(row["actor"], row["via"], row["action"], row["target"], row["count"], row["outcome"]) for row in rows]


def settled(gateway: GatewayProcess, transition: Transition, verdict: Verdict) -> None:
    """Do what a worker does with the next job."""
    ledger = worker_ledger(gateway.producer)
    [claimed] = ledger.claim("w1", f"t{next(_turns)}", 1).jobs
    attempt = Attempt(1, 1_790_000_000_000, 12, 200, verdict)
    assert ledger.settle([Settlement(claimed, Decision(transition), (attempt,))]) == [True]


def cancel(gateway: GatewayProcess, key: str, job_id: str) -> Any:
    return gateway.call("POST", f"/v1/jobs/{job_id}/cancel", key)


def test_cancelled_job_is_returned_and_recorded(gateway: GatewayProcess, key: str) -> None:
    job_id = gateway.post(key, job()).json()["id"]
    answers = [cancel(gateway, key, job_id) for _ in range(2)]
    assert [(one.status_code, one.json()["state"]) for one in answers] == [(200, "cancelled")] * 2
    assert trail(gateway)[-1] == ("crm", "api", "cancel", job_id, 1, "done")
    assert gateway.producer.job(job_id).timeline()[1]["by"] == "crm"


def test_job_that_was_sent_cannot_be_cancelled(gateway: GatewayProcess, key: str) -> None:
    job_id = gateway.post(key, job()).json()["id"]
    settled(gateway, Delivered({}), Verdict.DELIVERED)
    answer = cancel(gateway, key, job_id)
    assert (answer.status_code, answer.json()["state"]) == (409, "delivered")
    assert trail(gateway)[0][2:] == ("cancel", job_id, 0, "failed")


def test_dead_job_is_replayed_and_a_queued_one_is_not(gateway: GatewayProcess, key: str) -> None:
    job_id = gateway.post(key, job()).json()["id"]
    settled(gateway, Dead(Verdict.MISSING_FIELD), Verdict.MISSING_FIELD)
    path, body = f"/v1/jobs/{job_id}/replay", {"reason": "mapping mended, asked by ann@example.net"}
    assert gateway.call("POST", path, key, json=body).json()["state"] == "queued"
    again = gateway.call("POST", path, key)
    assert (again.status_code, again.json()["state"]) == (409, "queued")
    assert [row[2:] for row in trail(gateway)] == [("replay", job_id, 0, "failed"), ("replay", job_id, 1, "done")]
    replayed = gateway.producer.job(job_id).timeline()[-1]
    assert (replayed["by"], "ann@example.net" in replayed["why"]) == ("crm", False)


def test_unknown_job_is_settled_once(gateway: GatewayProcess, key: str) -> None:
    job_id = gateway.post(key, job()).json()["id"]
    settled(gateway, Unknown("answer lost"), Verdict.LOST_ANSWER)
    path = f"/v1/jobs/{job_id}/settle"
    assert gateway.call("POST", path, key).json()["errors"][0]["field"] == "as"
    assert gateway.call("POST", path, key, json={"as": "gone"}).status_code == 422
    assert gateway.call("POST", path, key, json={"as": "dead"}).json()["state"] == "dead"
    assert gateway.call("POST", path, key, json={"as": "dead"}).status_code == 200
    assert gateway.call("POST", path, key, json={"as": "delivered"}).status_code == 409


def test_key_that_enqueues_cancels_only_jobs_of_its_source(gateway: GatewayProcess, key: str) -> None:
    shop = gateway.key("shop", scopes=(Scope.ENQUEUE,), source="shop")
    bare, reads = gateway.key("bare", scopes=(Scope.ENQUEUE,)), gateway.key("reads", scopes=(Scope.READ,))
    own, other = gateway.post(shop, job()).json()["id"], gateway.post(key, job()).json()["id"]
    assert [cancel(gateway, one, other).status_code for one in (shop, bare, reads)] == [403] * 3
    assert cancel(gateway, gateway.key("us", regions=("us",)), other).status_code == 404
    assert cancel(gateway, shop, own).status_code == 200
    wait_until(lambda: len(trail(gateway)) >= 4)
    assert ("shop", "api", "cancel", own, 1, "done") in trail(gateway)
    denied = {(row[0], row[2]) for row in trail(gateway) if row[5] == "denied"}
    assert denied >= {(name, "cancel") for name in ("shop", "bare", "reads")}


def test_hold_is_opened_listed_and_lifted(gateway: GatewayProcess, key: str) -> None:
    wanted = {"region": "eu", "configuration": "a/b", "reason": "mapping changes", "until": "2h"}
    opened = gateway.call("POST", "/v1/holds", key, json=wanted)
    assert opened.status_code == 201
    row = opened.json()
    expected = {"id": "eu:configuration:a/b", "configuration": "a/b", "reason": "mapping changes", "by": "crm"}
    assert {name: row[name] for name in expected} == expected
    whole = gateway.call("POST", "/v1/holds", key, json={"region": "us", "reason": "maintenance"}).json()
    listed = gateway.call("GET", "/v1/holds", key).json()["holds"]
    assert [one["id"] for one in listed] == [row["id"], "us"]
    assert [gateway.call("DELETE", f"/v1/holds/{one['id']}", key).status_code for one in (row, whole)] == [204, 204]
    assert gateway.call("DELETE", f"/v1/holds/{row['id']}", key).status_code == 404
    assert gateway.call("GET", "/v1/holds", key).json() == {"holds": []}
    assert [entry[2:] for entry in trail(gateway)] == [
        ("resume", "configuration:a/b", 0, "failed"),
        ("resume", "configuration:a/b", 1, "done"),
        ("hold", "configuration:a/b", 1, "done"),
    ]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "region"),
        ({"region": "eu"}, "reason"),
        ({"region": "eu", "reason": "  "}, "reason"),
        ({"region": "eu", "reason": "a", "more": 1}, "more"),
        ({"region": "eu", "reason": "a", "until": "soon"}, ""),
        ({"region": "eu", "reason": "a", "until": "2020-01-01T00:00+00:00"}, "until"),
        ({"region": "eu", "reason": "a", "configuration": "a", "endpoints": "uploads"}, ""),
        ([], ""),
    ],
    ids=str,
)
def test_wrong_hold_is_refused(gateway: GatewayProcess, key: str, body: Any, field: str) -> None:
    answer = gateway.call("POST", "/v1/holds", key, json=body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    assert gateway.producer.ledger(Region.EU).holds() == {}


def test_only_keys_that_operate_change_holds(gateway: GatewayProcess) -> None:
    reads = gateway.key("reads", scopes=(Scope.READ, Scope.ENQUEUE))
    body = {"region": "eu", "reason": "a"}
    assert gateway.call("POST", "/v1/holds", reads, json=body).status_code == 403
    assert gateway.call("DELETE", "/v1/holds/eu", reads).status_code == 403
    assert gateway.call("POST", f"/v1/jobs/{'0' * 32}/replay", reads).status_code == 403
    assert gateway.call("POST", f"/v1/jobs/{'0' * 32}/settle", reads, json={"as": "dead"}).status_code == 403
    of_us = gateway.key("us", regions=("us",))
    assert gateway.call("POST", "/v1/holds", of_us, json=body).status_code == 403
    assert gateway.call("DELETE", "/v1/holds/eu", of_us).status_code == 403
    assert gateway.call("DELETE", "/v1/holds/mars", of_us).status_code == 404
