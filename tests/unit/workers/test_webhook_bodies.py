"""Bodies and signatures of webhooks, verified with the independent package `standardwebhooks`."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from gaugepost.errors import DataSealed
from gaugepost.ledger import JobView
from gaugepost.ledger.webhook_records import Endpoint, OutboxEvent, new_secret
from gaugepost.regions import Region
from gaugepost.states import JobState
from gaugepost_tasks.http_messages import Answer
from gaugepost_workers.webhooks.body import body_of
from gaugepost_workers.webhooks.sender import became_of
from gaugepost_workers.webhooks.signing import signed_headers

EMAIL = "very-personal@example.net"
DATA = {"id": "a" * 32, "kind": "record", "state": "dead", "verdict": "missing_field"}
EVENT = OutboxEvent("evt_1_eu_1_1", "job.dead", 1_795_305_600_000, DATA)
ENDPOINT = Endpoint("wh-1", "https://receiver.example/")


def view(**more: Any) -> JobView:
    job = {"kind": "record", "record": {"Email": EMAIL}, "labels": ["a"], "source": "crm", "idempotency_key": "k1"}
    return JobView("a" * 32, Region.EU, JobState.DEAD, job, 0, **more)


def read(body: bytes | None) -> Any:
    assert body is not None
    return json.loads(body)


def test_body_has_the_fields_of_the_contract_and_no_data() -> None:
    body = body_of(EVENT, Region.EU, ENDPOINT, view(result={"links": [EMAIL]}))
    assert EMAIL.encode() not in (body or b"")
    assert read(body) == {
        "type": "job.dead",
        "timestamp": "2026-11-22T00:00:00.000+00:00",
        "data": {
            "id": "a" * 32, "kind": "record", "region": "eu", "state": "dead", "verdict": "missing_field",
            "reason": None, "idempotency_key": "k1", "batch": None, "labels": ["a"], "source": "crm",
        },
    }  # fmt: skip


def test_result_is_sent_only_to_an_endpoint_that_asks_for_it() -> None:
    asks = Endpoint("wh-1", "https://receiver.example/", with_result=True)
    assert read(body_of(EVENT, Region.EU, asks, view(result={"links": ["l"]})))["data"]["result"] == {"links": ["l"]}
    assert read(body_of(EVENT, Region.EU, asks, None))["data"]["result"] is None


def test_deleted_job_still_has_an_event() -> None:
    data = read(body_of(EVENT, Region.EU, ENDPOINT, None))["data"]
    assert (data["id"], data["labels"], data["source"]) == ("a" * 32, [], None)


def test_deleted_job_keeps_the_source_of_its_event() -> None:
    crm = Endpoint("wh-1", "https://receiver.example/", source="crm")
    event = OutboxEvent("evt_1_eu_1_1", "job.dead", 1_795_305_600_000, DATA | {"source": "crm"})
    assert read(body_of(event, Region.EU, crm, None))["data"]["source"] == "crm"


def test_name_that_looks_like_a_phone_number_stays() -> None:
    event = OutboxEvent("evt_1_eu_1_2", "batch.held", 1_795_305_600_000, {"batch": "0049123456", "reason": EMAIL})
    data = read(body_of(event, Region.EU, ENDPOINT, None))["data"]
    assert (data["batch"], EMAIL in data["reason"]) == ("0049123456", False)


def test_other_source_is_not_sent_and_sealed_job_waits_for_the_key() -> None:
    other = Endpoint("wh-1", "https://receiver.example/", source="erp")
    assert body_of(EVENT, Region.EU, other, view()) is None
    with pytest.raises(DataSealed):
        body_of(EVENT, Region.EU, ENDPOINT, view(sealed="no key"))


def test_hold_has_its_times_and_no_contacts() -> None:
    data = {"scope": "", "reason": f"ask {EMAIL}", "by_person": True, "since": 1_795_305_600_000}
    event = OutboxEvent("evt_1_eu_1_2", "hold.opened", 1_795_305_600_000, data)
    body = body_of(event, Region.EU, ENDPOINT, None)
    assert EMAIL.encode() not in (body or b"")
    assert read(body)["data"] | {"reason": ""} == {
        "region": "eu", "scope": "region", "reason": "", "by_person": True, "since": "2026-11-22T00:00:00.000+00:00",
    }  # fmt: skip


def test_upload_has_its_parts_and_no_name_of_a_file() -> None:
    stored = {"of": 3, "set": "set-1", "name": f"{EMAIL}.part-1-of-3.csv"}
    job = {"kind": "file", "family": "contact", "filename": f"{EMAIL}.csv", "stored": stored, "source": "crm"}
    part = JobView("a" * 32, Region.EU, JobState.DELIVERED, job, 0)
    event = OutboxEvent("evt_1_eu_1_3", "file.finished", 1_795_305_600_000, {"id": "a" * 32, "set": "set-1"})
    body = body_of(event, Region.EU, ENDPOINT, part)
    assert EMAIL.encode() not in (body or b"")
    assert read(body)["data"] == {
        "id": "set-1", "region": "eu", "family": "contact", "parts": 3, "batch": None, "labels": [], "source": "crm",
    }  # fmt: skip
    assert body_of(event, Region.EU, Endpoint("wh-1", "https://receiver.example/", source="erp"), part) is None


def test_every_secret_verifies_while_one_is_rotated() -> None:
    body, secrets = b'{"type": "x"}', [new_secret(), new_secret()]
    headers = dict(signed_headers("evt_1", int(time.time()), body, secrets))
    for secret in secrets:
        assert Webhook(secret).verify(body, headers) == {"type": "x"}
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(body, headers)


@pytest.mark.parametrize("age", [-400, 400])
def test_replayed_webhook_is_refused_by_its_time(age: int) -> None:
    secret, body = new_secret(), b"{}"
    headers = dict(signed_headers("evt_1", int(time.time()) - age, body, [secret]))
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body, headers)


@pytest.mark.parametrize("part", ["webhook-id", "webhook-timestamp", "body"])
def test_changed_webhook_is_refused(part: str) -> None:
    secret, body, now = new_secret(), b"{}", int(time.time())
    headers = dict(signed_headers("evt_1", now, body, [secret]))
    if part == "body":
        body = b"[]"
    else:
        headers[part] = {"webhook-id": "evt_2", "webhook-timestamp": str(now + 1)}[part]
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body, headers)


@pytest.mark.parametrize(
    ("status", "became"),
    [(200, "sent"), (204, "sent"), (299, "sent"), (301, "failed"), (400, "failed"), (410, "gone"), (503, "failed")],
)
def test_only_2xx_ends_an_event(status: int, became: str) -> None:
    assert became_of(Answer(status))[0] == became
    assert became_of(Answer(None, failure="lost_answer", detail="timed out"))[1] == "timed out"
