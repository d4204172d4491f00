"""`GET /v1/jobs`, `/v1/status` and `/v1/uploads`: what they find, page by page, and what a key may see."""

from __future__ import annotations

from typing import Any

import pytest

from support.gateway import EMAIL, GatewayProcess, job


def listed(gateway: GatewayProcess, secret: str, /, **query: Any) -> list[dict[str, Any]]:
    """Return all rows, page by page."""
    rows: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        given = query | ({"cursor": cursor} if cursor else {})
        answer = gateway.call("GET", "/v1/jobs", secret, params=given)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        rows += page["jobs"]
        cursor = page["next"]
        if cursor is None:
            return rows


def put(gateway: GatewayProcess, key: str, **more: Any) -> str:
    answer = gateway.post(key, job(**more))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def test_pages_have_each_job_of_all_regions_once(gateway: GatewayProcess, key: str) -> None:
    ids = [put(gateway, key, region=region) for region in ("eu", "us") for _ in range(12)]
    ended = ids[3], ids[15]
    assert all(gateway.producer.cancel(one) for one in ended)
    found = [row["id"] for row in listed(gateway, key, limit=5)]
    assert found == [one for one in ids if one not in ended] + list(ended)
    assert {row["id"] for row in listed(gateway, key, state="cancelled", limit=1)} == set(ended)
    assert len(listed(gateway, key, region="us", state="queued")) == 11


@pytest.mark.parametrize(
    "query",
    [
        {"key": "order-7"},
        {"email": "SEVEN@example.net"},
        {"label": "spring", "source": "crm"},
        {"batch": "spring-2026"},
        {"kind": "close_loop"},
        {"case": "777"},
        {"configuration": "another", "state": "queued"},
    ],
    ids=str,
)
def test_job_is_found_by_each_filter(gateway: GatewayProcess, key: str, query: dict[str, str]) -> None:
    case = {"kind": "close_loop", "region": "eu", "number_customergauge": "777", "status": "open"}
    wanted = {
        "key": lambda: put(gateway, key, idempotency_key="order-7"),
        "email": lambda: put(gateway, key, record={"Email": "seven@example.net"}),
        "label": lambda: put(gateway, key, labels=["spring"], source="crm"),
        "batch": lambda: put(gateway, key, batch="spring-2026"),
        "kind": lambda: gateway.post(key, case).json()["id"],
        "case": lambda: gateway.post(key, case).json()["id"],
        "configuration": lambda: put(gateway, key, configuration="another"),
    }
    put(gateway, key, labels=["spring"], source="shop")
    found_id = wanted[next(iter(query))]()
    rows = listed(gateway, key, **query)
    assert [row["id"] for row in rows] == [found_id]
    assert EMAIL not in str(rows)


def test_found_jobs_are_paged_newest_first(gateway: GatewayProcess, key: str) -> None:
    ids = [put(gateway, key, region=region, labels=["spring"]) for region in ("eu", "us", "au") * 4]
    assert [row["id"] for row in listed(gateway, key, label="spring", limit=5)] == ids[::-1]
    assert listed(gateway, key, label="spring", until="1h") == []
    assert len(listed(gateway, key, label="spring", since="1h")) == 12


def test_key_sees_only_its_regions(gateway: GatewayProcess, key: str) -> None:
    put(gateway, key, labels=["a"])
    of_us = put(gateway, key, region="us", labels=["a"])
    limited = gateway.key("us", regions=("us",))
    assert [row["id"] for row in listed(gateway, limited)] == [of_us]
    assert [row["id"] for row in listed(gateway, limited, label="a")] == [of_us]
    for path in ("/v1/jobs", "/v1/status", "/v1/uploads", "/v1/holds"):
        assert gateway.call("GET", f"{path}?region=eu", limited).status_code == 403
    assert [row["region"] for row in gateway.call("GET", "/v1/status", limited).json()["regions"]] == ["us"]


@pytest.mark.parametrize(
    "query",
    [
        "state=sent",
        "limit=0",
        "limit=201",
        "cursor=x",
        "cursor=99~",
        "cursor=0~x",
        "phone=x",
        "since=then",
        "label=a&cursor=x",
        "region=mars",
        "verdict=bad",
        "label=",
        "since=9999999999999d",
    ],
)
def test_wrong_parameter_is_refused(gateway: GatewayProcess, key: str, query: str) -> None:
    answer = gateway.call("GET", f"/v1/jobs?{query}", key)
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "application/problem+json"), answer.text


def test_status_and_uploads_are_those_of_the_command_line(gateway: GatewayProcess, key: str) -> None:
    put(gateway, key)
    regions = gateway.call("GET", "/v1/status", key).json()["regions"]
    assert [(row["region"], row["queued"]) for row in regions] == [("eu", 1), ("us", 0), ("au", 0)]
    lanes = gateway.call("GET", "/v1/uploads", key).json()["lanes"]
    assert [(lane["region"], lane["lane"]) for lane in lanes] == [("eu", "files"), ("us", "files"), ("au", "files")]


def test_batch_is_shown_as_the_command_line_shows_it(gateway: GatewayProcess, key: str) -> None:
    for region in ("eu", "us"):
        put(gateway, key, region=region, batch="spring-2026")
    found = gateway.call("GET", "/v1/batches/spring-2026", key).json()
    assert (found["batch"], found["total"], found["states"]["queued"]) == ("spring-2026", 2, 2)
    assert gateway.call("GET", "/v1/batches/autumn", key).status_code == 404
    only_us = gateway.key("us", regions=("us",))
    assert gateway.call("GET", "/v1/batches/spring-2026", only_us).json()["total"] == 1


def test_page_of_the_description_runs_nothing_from_elsewhere(gateway: GatewayProcess) -> None:
    page = gateway.call("GET", "/docs")
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self'")
    for word in ("<script", "http:", "https:", "style="):
        assert word not in page.text
    for path in gateway.call("GET", "/openapi.json").json()["paths"]:
        assert path in page.text
    assert gateway.call("GET", "/docs/style.css").headers["Content-Type"].startswith("text/css")
