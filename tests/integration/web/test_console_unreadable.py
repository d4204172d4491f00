"""Jobs that the gateway cannot read, encrypted with another key or damaged in Redis: they hide no other job."""

from __future__ import annotations

import base64

import pytest

from gaugepost import File, Producer, Record, Region, Settings
from gaugepost.ledger.users import Role
from support.console import Person, signed_in
from support.console_jobs import stuck
from support.gateway import GatewayProcess
from support.redis_server import RedisServer

CONTENT = {"family": "contact", "content_base64": "RW1haWwKYUBiLmV4YW1wbGUK"}
PAGES = (
    "/",
    "/stuck",
    "/jobs",
    "/jobs?state=waiting",
    "/jobs?state=dead",
    "/holds",
    "/batches",
    "/uploads",
    "/history",
)
OTHERS = ("/history", "/operations", "/audit", "/settings", "/jobs/bulk?action=cancel&state=waiting&region=eu")


@pytest.fixture
def admin(gateway: GatewayProcess) -> Person:
    return signed_in(gateway, "root", Role.ADMIN)


def put(producer: Producer) -> list[str]:
    """Enqueue a file and a record. Return their ids."""
    record = Record(region="eu", configuration="c", record={"Email": "joe@example.com"}, batch="b")
    return [producer.enqueue(one).id for one in (File(region="eu", filename="sealed.csv", **CONTENT), record)]


def answers(person: Person, ids: list[str]) -> dict[str, int]:
    """Return the status of each page that is no answer to expect."""
    paths = (*PAGES, *OTHERS, *(f"/jobs/{one}" for one in ids))
    found = {path: person.get(path).status_code for path in paths}
    return {path: status for path, status in found.items() if status != 200}


def test_job_that_is_encrypted_with_another_key_hides_no_other(
    gateway: GatewayProcess, server: RedisServer, admin: Person
) -> None:
    before = gateway.log()
    key = base64.urlsafe_b64encode(b"k" * 32).decode()
    with Producer(Settings.given(redis_url=server.url, data_key=key)) as sealing:
        ids = put(sealing)
    seen = gateway.producer.enqueue(File(region="eu", filename="clear.csv", **CONTENT)).id
    assert answers(admin, [*ids, seen]) == {}
    assert "clear.csv" in admin.get("/uploads").text
    assert "Traceback" not in gateway.log().removeprefix(before)


@pytest.mark.parametrize("field", ["job", "history", "enqueued", "result", "warnings"])
def test_damaged_job_hides_no_other(gateway: GatewayProcess, server: RedisServer, admin: Person, field: str) -> None:
    before = gateway.log()
    ids, seen = put(gateway.producer), gateway.producer.enqueue(File(region="eu", filename="clear.csv", **CONTENT)).id
    with server.client() as client:
        for one in ids:
            client.hset(gateway.producer.ledger(Region.EU).keys.of("job:", one), field, b"\xff{ no JSON")
    assert answers(admin, [*ids, seen]) == {}
    assert "clear.csv" in admin.get("/uploads").text
    stuck(admin)
    assert "Traceback" not in gateway.log().removeprefix(before)
