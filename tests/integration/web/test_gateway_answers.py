"""Answers have the fields of docs/openapi.json: all that it requires, and none that it lacks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from support.deployment import ROOT
from support.gateway import GatewayProcess, job
from support.stack import Stack
from support.wait import wait_until

DESCRIPTION = json.loads((ROOT / "docs/openapi.json").read_text(encoding="utf-8"))


def closed(schema: Any) -> Any:
    """Return a schema in which no object takes other properties than those that it names."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: closed(one) for name, one in schema.items()}
    return ({"additionalProperties": False} if isinstance(schema.get("properties"), dict) else {}) | found


VALIDATOR = jsonschema.Draft202012Validator(closed(DESCRIPTION))


def differences(answer: Any, path: str, method: str = "get", status: str = "200") -> list[str]:
    content = DESCRIPTION["paths"][path][method]["responses"][status]["content"]["application/json"]["schema"]
    checker = VALIDATOR.evolve(schema=VALIDATOR.schema | closed(content))
    return [f"{error.json_path}: {error.message}" for error in checker.iter_errors(answer)]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """Run a gateway and a worker, and enqueue jobs that end in different ways."""
    folder = tmp_path_factory.mktemp("stack")
    mappings = folder / "mappings.toml"
    mappings.write_text('[crm]\nconfiguration = "multi-object"\nregion = ["eu", "us"]\n')
    with Stack(folder) as stack, GatewayProcess(folder, stack.redis.url, mappings=str(mappings)) as gateway:
        stack.worker("eu")
        yield gateway


@pytest.fixture(scope="module")
def key(gateway: GatewayProcess) -> str:
    key = gateway.key("answers")
    jobs = [
        job(kind="personal_link", labels=["one"]),
        job(configuration="unknown-mapping"),
        job(record={"Email": "cut-after@example.com"}, on_unknown="hold"),
        job(record={"Email": ""}),
    ]
    assert gateway.post(key, [one | {"batch": "spring"} for one in jobs]).status_code == 200
    content = {"kind": "file", "region": "eu", "family": "transactional", "content_base64": "RW1haWwKYUBiLmV4YW1wbGUK"}
    for name in ("a.csv", "b.csv", "c.csv"):
        assert gateway.post(key, content | {"filename": name}).status_code == 201
    wait_until(lambda: not open_jobs(gateway, key), what="jobs have been sent")
    return key


def open_jobs(gateway: GatewayProcess, key: str) -> list[dict[str, Any]]:
    found = gateway.call("GET", "/v1/jobs?batch=spring", key).json()["jobs"]
    return [one for one in found if one["state"] in {"queued", "sending"}]


def test_shown_jobs_have_the_described_fields(gateway: GatewayProcess, key: str) -> None:
    page = gateway.call("GET", "/v1/jobs", key).json()
    assert {"delivered", "dead", "parked", "unknown"} <= {one["state"] for one in page["jobs"]}
    assert any(one["hold"] for one in page["jobs"])
    assert any("field_errors" in attempt for one in page["jobs"] for attempt in one["attempts"])
    assert any(one["kind"] == "file" for one in page["jobs"])
    assert differences(page, "/v1/jobs") == []
    found = gateway.call("GET", "/v1/jobs?label=one", key).json()
    assert differences(found, "/v1/jobs") == []
    for one in page["jobs"]:
        assert differences(gateway.call("GET", f"/v1/jobs/{one['id']}", key).json(), "/v1/jobs/{job_id}") == []


def test_listings_have_the_described_fields(gateway: GatewayProcess, key: str) -> None:
    hold = {"region": "us", "reason": "maintenance", "until": "2h"}
    opened = gateway.call("POST", "/v1/holds", key, json=hold)
    assert differences(opened.json(), "/v1/holds", "post", "201") == []
    added = gateway.call("POST", "/v1/webhooks", key, json={"url": "https://crm.example/"})
    assert differences(added.json(), "/v1/webhooks", "post", "201") == []
    for path in ("/v1/holds", "/v1/webhooks", "/v1/status", "/v1/uploads"):
        assert differences(gateway.call("GET", path, key).json(), path) == []
    assert len(gateway.call("GET", "/v1/holds", key).json()["holds"]) == 2
    canary = [job(batch="careful", region="us") for _ in range(3)]
    assert gateway.post(key, canary).status_code == 200
    for name in ("spring", "careful"):
        assert differences(gateway.call("GET", f"/v1/batches/{name}", key).json(), "/v1/batches/{name}") == []


def test_operations_and_audit_have_the_described_fields(gateway: GatewayProcess, key: str) -> None:
    wanted = {"action": "replay", "region": "eu", "filter": {"state": "dead"}, "reason": "corrected"}
    started = gateway.call("POST", "/v1/operations", key, json=wanted)
    assert started.status_code == 201, started.text
    assert differences(started.json(), "/v1/operations", "post", "201") == []
    one = started.json()["id"]
    for path in ("/v1/operations", "/v1/audit", "/v1/batches"):
        assert differences(gateway.call("GET", path, key).json(), path) == []
    shown = gateway.call("GET", f"/v1/operations/{one}", key).json()
    assert differences(shown, "/v1/operations/{operation_id}") == []
    assert gateway.call("GET", "/v1/audit", key).json()["entries"] != []


def test_files_have_the_described_fields(gateway: GatewayProcess, key: str) -> None:
    def upload(**more: str) -> Any:
        content = b"Email\n" + b"a@example.net\n" * 3_000
        form = {"region": "us", "family": "contact", "again": "true"} | more
        return gateway.call("POST", "/v1/files", key, data=form, files={"file": ("a.csv", content)}).json()

    first, second = upload()["id"], upload()["id"]
    cancelled = gateway.call("POST", f"/v1/files/{first}/cancel", key).json()
    assert differences(cancelled, "/v1/files/{set_id}/cancel", "post") == []
    undone = gateway.call("POST", f"/v1/files/{second}/undo", key).json()
    assert (differences(undone, "/v1/files/{set_id}/undo", "post"), undone["cancelled"]) == ([], 2)
    for one in (first, second):
        assert differences(gateway.call("GET", f"/v1/files/{one}", key).json(), "/v1/files/{set_id}") == []


def test_groups_of_a_dry_run_have_the_described_fields(gateway: GatewayProcess, key: str) -> None:
    for action, state in (("replay", "dead"), ("replay", "parked"), ("settle", "unknown")):
        to = {"as": "dead"} if action == "settle" else {}
        wanted = {"action": action, "region": "eu", "filter": {"state": state}, "set": to, "dry_run": True}

        def groups(wanted: dict[str, Any] = wanted) -> Any:
            """Return them once they have a job: a replay of the test before may be sending the dead one now."""
            found = gateway.call("POST", "/v1/operations", key, json=wanted).json()
            return found["matched"] and found

        assert differences(wait_until(groups), "/v1/operations", "post") == []


@pytest.mark.parametrize("change", [{"more": 1}, {"state": "odd"}, {"id": None}], ids=str)
def test_wrong_answer_is_found(gateway: GatewayProcess, key: str, change: dict[str, Any]) -> None:
    [one, *_] = gateway.call("GET", "/v1/jobs", key).json()["jobs"]
    assert differences(one | change, "/v1/jobs/{job_id}") != []
