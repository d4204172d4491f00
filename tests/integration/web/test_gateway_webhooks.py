"""Webhooks over HTTP: add, list and remove endpoints, and who may do so."""

from __future__ import annotations

from typing import Any

import pytest

from gaugepost import Region
from gaugepost.ledger.api_keys import Scope
from support.gateway import GatewayProcess

URL = "https://crm.example/hooks"


def add(gateway: GatewayProcess, key: str, **body: Any) -> Any:
    return gateway.call("POST", "/v1/webhooks", key, json={"url": URL} | body)


def test_endpoint_is_added_listed_and_removed(gateway: GatewayProcess, key: str) -> None:
    answer = add(gateway, key, events=["job.dead"], regions=["eu", "us"], source="crm", with_result=True)
    assert answer.status_code == 201
    row = answer.json()
    secret = row.pop("secret")
    assert gateway.producer.ledger(Region.US).webhooks.secrets(row["id"], 0) == [secret]
    [listed] = gateway.call("GET", "/v1/webhooks", key).json()["webhooks"]
    assert secret not in str(listed)
    assert {name: listed[name] for name in row} == row
    assert row["events"] == ["job.dead"]
    assert listed["created_by"] == "crm"
    path = f"/v1/webhooks/{row['id']}"
    assert [gateway.call("DELETE", path, key).status_code for _ in range(2)] == [204, 404]
    assert gateway.call("GET", "/v1/webhooks", key).json() == {"webhooks": []}
    trail = [(one.action, one.target, one.count) for one in gateway.producer.ledger(Region.EU).audit.read()]
    assert trail == [("webhooks remove", row["id"], 1), ("webhooks add", row["id"], 1)]
    assert secret not in gateway.log()


def test_key_gives_its_own_regions_only(gateway: GatewayProcess) -> None:
    key = gateway.key("us-only", regions=("us",))
    assert add(gateway, key).json()["regions"] == ["us"]
    assert add(gateway, key, regions=["eu"]).status_code == 403
    everywhere = gateway.key("all")
    row = add(gateway, everywhere, regions=["eu"]).json()
    assert gateway.call("DELETE", f"/v1/webhooks/{row['id']}", key).status_code == 404


def test_scope_operate_is_needed(gateway: GatewayProcess) -> None:
    key = gateway.key("reader", scopes=(Scope.READ, Scope.ENQUEUE))
    assert add(gateway, key).status_code == 403
    assert gateway.call("GET", "/v1/webhooks", key).status_code == 403
    assert gateway.call("DELETE", "/v1/webhooks/wh-1", key).status_code == 403


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"url": "http://crm.example/"}, "url"),
        ({"url": "https://169.254.169.254/"}, "url"),
        ({"events": ["job.done"]}, "events"),
        ({"source": "a b"}, "source"),
        ({"other": 1}, "other"),
        ({"regions": ["mars"]}, "regions.0"),
    ],
    ids=str,
)
def test_wrong_endpoint_is_refused_by_its_field(
    gateway: GatewayProcess, key: str, body: dict[str, Any], field: str
) -> None:
    answer = add(gateway, key, **body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


def test_number_of_endpoints_is_bounded(gateway: GatewayProcess, key: str) -> None:
    for _ in range(20):
        assert add(gateway, key, regions=["au"]).status_code == 201
    answer = add(gateway, key)
    assert (answer.status_code, answer.json()["detail"]) == (409, "au has 20 endpoints already: remove one first")
    assert len(gateway.call("GET", "/v1/webhooks?region=eu", key).json()["webhooks"]) == 0
