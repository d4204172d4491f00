"""`/v1/operations`, `/v1/audit` and `GET /v1/batches`: bulk changes over HTTP, and who made which."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gaugepost import Region
from gaugepost.ledger.api_keys import Scope
from gaugepost.ledger.audit import AuditEntry
from gaugepost.ledger.finding import LOOKED_AT
from support.gateway import EMAIL, GatewayProcess, job
from support.stack import Stack
from support.wait import wait_until

QUEUED = {"action": "cancel", "region": "eu", "filter": {"state": "queued"}}


def put(gateway: GatewayProcess, key: str, number: int, **more: Any) -> None:
    assert gateway.post(key, [job(record={"Email": EMAIL, "n": n}, **more) for n in range(number)]).status_code == 200


def start(gateway: GatewayProcess, key: str, **more: Any) -> Any:
    return gateway.call("POST", "/v1/operations", key, json=QUEUED | more)


def row(gateway: GatewayProcess, key: str, operation_id: str) -> dict[str, Any]:
    found: dict[str, Any] = gateway.call("GET", f"/v1/operations/{operation_id}", key).json()
    return found


def test_operation_is_stored_shown_and_recorded(gateway: GatewayProcess, key: str) -> None:
    put(gateway, key, 3, batch="spring")
    answer = start(gateway, key, filter={"batch": "spring", "email": EMAIL}, rate=5, reason="asked by ann@example.net")
    made = answer.json()
    assert (answer.status_code, answer.headers["Location"]) == (201, f"/v1/operations/{made['id']}")
    assert (made["state"], made["by"], made["rate"], "ann@example.net" in made["reason"]) == (
        "running",
        "crm",
        5,
        False,
    )
    assert made == row(gateway, key, made["id"]) == gateway.producer.ledger(Region.EU).operations.list()[0].to_dict()
    assert gateway.call("GET", "/v1/operations", key).json()["operations"] == [made]
    entry = gateway.call("GET", "/v1/audit", key).json()["entries"][0]
    assert (entry["actor"], entry["action"], entry["outcome"], made["id"] in entry["target"]) == (
        "crm",
        "cancel",
        "done",
        True,
    )
    assert EMAIL not in str(entry) + str(made)


def test_operation_is_paused_resumed_and_aborted(gateway: GatewayProcess, key: str) -> None:
    made = start(gateway, key).json()["id"]
    found = [
        gateway.call("POST", f"/v1/operations/{made}/{name}", key)
        for name in ("pause", "resume", "resume", "abort", "pause")
    ]
    assert [one.status_code for one in found] == [200, 200, 200, 200, 409]
    assert [one.json()["state"] for one in found] == ["paused", "running", "running", "aborted", "aborted"]
    entries = gateway.call("GET", "/v1/audit", key).json()["entries"]
    assert [(one["action"], one["outcome"], one["count"]) for one in entries] == [
        ("operations pause", "failed", 0),
        ("operations abort", "done", 1),
        ("operations resume", "done", 0),
        ("operations resume", "done", 1),
        ("operations pause", "done", 1),
        ("cancel", "done", 0),
    ]


def test_dry_run_counts_by_groups_and_changes_nothing(gateway: GatewayProcess, key: str) -> None:
    put(gateway, key, 7)
    put(gateway, key, 2, configuration="another")
    found = start(gateway, key, dry_run=True).json()
    assert (found["matched"], found["complete"], [one["count"] for one in found["groups"]]) == (9, True, [7, 2])
    assert len(found["groups"][0]["examples"]) == 5
    assert start(gateway, key, dry_run=0).json()["errors"][0]["field"] == "dry_run"
    assert start(gateway, key, dry_run=True, limit=3).json()["matched"] == 3
    only = start(gateway, key, dry_run=True, filter={"state": "queued", "configuration": "another"}).json()
    assert only["matched"] == 2
    assert gateway.call("GET", "/v1/operations", key).json() == {"operations": []}
    assert gateway.call("GET", "/v1/audit", key).json() == {"entries": [], "next": None}


def test_replay_with_changes_is_checked_on_all_jobs_first(gateway: GatewayProcess, key: str) -> None:
    later = {"batch": "spring", "deliver_at": (datetime.now(UTC) + timedelta(days=1)).isoformat()}
    put(gateway, key, 2, **later)
    link = {"kind": "personal_link", "region": "eu", "configuration": "map", "record": {"Email": EMAIL, "n": 1}}
    made = gateway.post(key, link | later).json()["id"]
    replay = {"action": "replay", "filter": {"batch": "spring"}, "set": {"record.Email": None}}
    for dry_run in (True, False):
        answer = start(gateway, key, **replay, dry_run=dry_run)
        assert (answer.status_code, [one["id"] for one in answer.json()["errors"]]) == (422, [made]), answer.text
        assert "nothing was replayed: the changes make 1 of 3 jobs invalid" in answer.json()["detail"]
        assert EMAIL not in answer.text
    assert gateway.producer.ledger(Region.EU).operations.list() == []
    assert gateway.call("GET", "/v1/audit", key).json()["entries"] == []
    assert start(gateway, key, **replay | {"filter": {"batch": "spring", "kind": "record"}}).status_code == 201


def test_replay_with_changes_of_too_many_jobs_is_refused(gateway: GatewayProcess, key: str) -> None:
    later = {"deliver_at": (datetime.now(UTC) + timedelta(days=1)).isoformat()}
    for _ in range(LOOKED_AT // 1_000):
        put(gateway, key, 1_000, **later)
    replay = {"action": "replay", "filter": {"state": "parked"}, "set": {"record.Email": "a@example.net"}}
    assert start(gateway, key, **replay, dry_run=True).json()["complete"]
    put(gateway, key, 1, **later)
    assert not start(gateway, key, **replay, dry_run=True).json()["complete"]
    answer = start(gateway, key, **replay)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "filter"), answer.text
    assert gateway.producer.ledger(Region.EU).operations.list() == []
    assert start(gateway, key, **replay | {"set": {}}).status_code == 201


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"filter": {}}, "expected a state of queued, waiting, parked, or a reference"),
        ({"filter": {"kind": "record"}}, "expected a state of"),
        ({"filter": {"state": "delivered"}}, "expected a state of"),
        ({"filter": {"state": "queued", "since": "soon"}}, "since: expected a time"),
        ({"filter": {"state": "queued", "more": 1}}, "filter.more"),
        ({"action": "erase"}, "action"),
        ({"action": "settle", "filter": {"state": "unknown"}}, "set: expected"),
        ({"action": "settle", "filter": {"state": "unknown"}, "set": {"as": "gone"}}, "set: expected"),
        ({"set": {"record.Email": "a"}}, "set: expected none for cancel"),
        ({"action": "replay", "filter": {"state": "dead"}, "set": {"kind": "link"}}, "kind cannot be edited"),
        ({"action": "replay", "filter": {"state": "dead"}, "set": {"nonsense": "a"}}, "expected a field of a job"),
        ({"action": "replay", "filter": {"state": "dead"}, "set": {"record.\ud800": "a"}}, "set: expected text"),
        (
            {"action": "replay", "filter": {"state": "dead"}, "set": {"record.a": "\ud800"}},
            "set.record.a: expected text",
        ),
        ({"filter": {"state": "queued", "fields": ["\ud800"]}}, "filter.fields: expected text"),
        ({"reason": "\ud800"}, "reason: expected text"),
        ({"filter": json.loads("[" * 300 + "]" * 300)}, "filter"),
        ({"rate": 0}, "rate"),
        ({"region": "mars"}, "region"),
    ],
    ids=str,
)
def test_wrong_operation_is_refused(gateway: GatewayProcess, key: str, more: dict[str, Any], said: str) -> None:
    for dry_run in (False, True):
        answer = start(gateway, key, **more, dry_run=dry_run)
        assert answer.status_code in {400, 422}, answer.text
        assert said in answer.json()["detail"], answer.text
    assert gateway.producer.ledger(Region.EU).operations.list() == []


def test_only_keys_that_operate_may_start_and_see_operations(gateway: GatewayProcess, key: str) -> None:
    made = start(gateway, key).json()["id"]
    other = gateway.key("other", scopes=(Scope.READ, Scope.ENQUEUE))
    of_us = gateway.key("us", regions=("us",))
    assert start(gateway, other).status_code == start(gateway, of_us).status_code == 403
    assert [gateway.call("GET", path, other).status_code for path in ("/v1/operations", "/v1/audit")] == [403] * 2
    assert gateway.call("GET", f"/v1/operations/{made}", of_us).status_code == 404
    assert gateway.call("POST", f"/v1/operations/{made}/abort", of_us).status_code == 404
    assert gateway.call("GET", "/v1/operations", of_us).json() == {"operations": []}
    entries = gateway.call("GET", "/v1/audit", of_us).json()["entries"]
    assert {(entry["region"], entry["outcome"]) for entry in entries} <= {("us", "denied")}
    assert gateway.call("GET", "/v1/audit?region=eu", of_us).status_code == 403
    for wrong in ("op-", "op-" + "g" * 12, "op-" + "0" * 12):
        assert gateway.call("GET", f"/v1/operations/{wrong}", key).status_code == 404


def test_pages_of_the_audit_trail_have_each_entry_once(gateway: GatewayProcess, key: str) -> None:
    def write(region: Region) -> None:
        trail = gateway.producer.ledger(region).audit
        for n in range(40):
            trail.write(AuditEntry("ann@host", "replay" if n % 2 else "hold", str(region), f"job-{n}", count=n))

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(write, Region))
    for query, number in (
        ("", 120),
        ("&action=replay", 60),
        ("&region=us", 40),
        ("&actor=ann", 120),
        ("&job=job-7", 3),
    ):
        entries: list[dict[str, Any]] = []
        cursor = ""
        while True:
            page = gateway.call("GET", f"/v1/audit?limit=7{query}{cursor}", key).json()
            entries += page["entries"]
            if page["next"] is None:
                break
            cursor = f"&cursor={page['next']}"
        assert len({(one["region"], one["id"]) for one in entries}) == len(entries) == number, query
        assert [one["at"] for one in entries] == sorted((one["at"] for one in entries), reverse=True)
    assert gateway.call("GET", "/v1/audit?since=2099-01-01T00:00Z", key).json()["entries"] == []
    for wrong in ("x", f"{2**64}-0", f"0-{2**64}", "1-99999999999999999999", "\u0661-1"):
        assert gateway.call("GET", "/v1/audit", key, params={"cursor": wrong}).status_code == 400
    assert gateway.call("GET", f"/v1/audit?cursor={2**64 - 1}-{2**64 - 1}", key).status_code == 200


def test_batches_are_listed_across_regions(gateway: GatewayProcess, key: str) -> None:
    put(gateway, key, 2, batch="spring")
    put(gateway, key, 1, batch="spring", region="us")
    put(gateway, key, 1, batch="autumn")
    found = gateway.call("GET", "/v1/batches", key).json()["batches"]
    assert [(one["batch"], one["total"]) for one in found] == [("autumn", 1), ("spring", 3)]
    assert [one["total"] for one in gateway.call("GET", "/v1/batches?region=us", key).json()["batches"]] == [1]


@pytest.fixture(scope="module")
def delivering(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, GatewayProcess]]:
    folder = tmp_path_factory.mktemp("stack")
    with Stack(folder) as stack, GatewayProcess(folder, stack.redis.url) as gateway:
        yield stack, gateway


def test_workers_replay_with_changes_and_each_job_once(delivering: tuple[Stack, GatewayProcess]) -> None:
    stack, gateway = delivering
    key = gateway.key()
    worker = stack.worker()
    wrong = [job(record={"Email": "no address", "n": n}) for n in range(20)]
    assert gateway.post(key, wrong).status_code == 200
    wait_until(lambda: stack.counts()["dead"] == 20)
    wanted = {"action": "replay", "filter": {"state": "dead"}, "set": {"record.Email": "new@example.net"}}
    made = start(gateway, key, **wanted).json()["id"]
    wait_until(lambda: row(gateway, key, made)["state"] == "finished")
    assert (row(gateway, key, made)["done"], row(gateway, key, made)["set"]) == (20, {"edited": ["record.Email"]})
    wait_until(lambda: stack.counts()["delivered"] == 20)
    assert {effect["body"]["Email"] for effect in stack.sim.effects()} == {"new@example.net"}
    assert worker.poll() is None
    assert "new@example.net" not in gateway.log()
