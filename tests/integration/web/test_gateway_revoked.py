"""A key that is revoked while the body of a request arrives: the request ends with 401, and changes nothing."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any
from urllib.parse import urlencode

import pytest

from gaugepost import Region
from support.gateway import GatewayProcess, job
from support.redis_server import RedisServer
from support.wait import wait_until

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
RECORD = {"configuration": "map", "record": {"Email": "a@b.example"}}
OPERATION = {"action": "cancel", "region": "eu", "filter": {"state": "queued"}}
FILE = (
    b'--b\r\nContent-Disposition: form-data; name="region"\r\n\r\neu\r\n'
    b'--b\r\nContent-Disposition: form-data; name="family"\r\n\r\ncontact\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\nEmail\na@example.net\n\r\n--b--\r\n'
)
FRONT = "/customergauge/eu"
CALLS: list[tuple[str, str, str, Any]] = [
    ("POST", "/v1/jobs", JSON, job()),
    ("POST", "/v1/jobs", JSON, [job(), job()]),
    ("POST", "/v1/jobs", JSON, job(record={"Email": "a@b.example", "text": "x" * 100_000})),
    ("POST", "/v1/operations", JSON, OPERATION),
    ("POST", "/v1/operations", JSON, OPERATION | {"dry_run": True}),
    ("POST", "/v1/holds", JSON, {"region": "eu", "reason": "a"}),
    ("POST", "/v1/webhooks", JSON, {"url": "https://hooks.example.com/"}),
    ("POST", f"/v1/jobs/{'0' * 32}/replay", JSON, {"reason": "a"}),
    ("POST", "/v1/files", "multipart/form-data; boundary=b", FILE),
    ("PUT", f"{FRONT}/records/", JSON, RECORD),
    ("PUT", f"{FRONT}/personal-link/", JSON, RECORD),
    ("POST", f"{FRONT}/v4.1/transactions/response.json", FORM, urlencode({"Email": "a@b.example"}).encode()),
]


@pytest.mark.parametrize("sent", ["nothing", "all but a byte"])
@pytest.mark.parametrize(
    ("method", "path", "kind", "content"), CALLS, ids=[f"{one[1]} {str(one[3])[:20]}" for one in CALLS]
)
def test_request_of_a_revoked_key_ends(
    gateway: GatewayProcess, server: RedisServer, method: str, path: str, kind: str, content: Any, sent: str
) -> None:
    key = gateway.put_key("ends", rate=1_000)
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    first = 0 if sent == "nothing" else len(body) - 1
    scheme = "api_key" if "v4.1" in path else "Bearer"
    head = f"{method} {path} HTTP/1.1\r\nHost: a\r\nAuthorization: {scheme} {key}\r\nContent-Type: {kind}\r\n"
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=30) as connection, server.client() as client:
        wait_until(lambda: gateway.call("GET", "/v1/status", key).status_code == 200)
        used = {name: client.get(name) for name in client.scan_iter("*api_rate*")}
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:first])
        wait_until(lambda: {name: client.get(name) for name in client.scan_iter("*api_rate*")} != used)
        for region in Region:
            gateway.producer.ledger(region).api_keys.drop("ends")
        wait_until(lambda: gateway.call("GET", "/v1/status", key).status_code == 401)
        connection.sendall(body[first:])
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert answer.status == 401
    ledger = gateway.producer.ledger(Region.EU)
    counts = ledger.summary()
    assert (counts["queued"], counts["waiting"], counts["holds"]) == (0, 0, [])
    assert (ledger.operations.list(), ledger.audit.read(), ledger.webhooks.read()) == ([], [], [])
