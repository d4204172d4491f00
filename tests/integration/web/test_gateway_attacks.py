"""Attacks on the gateway: races for one idempotency key, injection, smuggling, and very many idle requests."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gaugepost import Region
from support.gateway import EMAIL, GatewayProcess, job
from support.redis_server import RedisServer
from support.wait import wait_until

RACES = 1_000
WAITING = 1_000


def stored(gateway: GatewayProcess) -> int:
    return gateway.producer.ledger(Region.EU).summary()["queued"]


def test_two_bodies_with_one_key_make_one_job(gateway: GatewayProcess, key: str) -> None:
    together = threading.Barrier(2, timeout=60)

    def race(racer: int) -> list[tuple[int, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)
        answers = []
        for number in range(RACES):
            body = json.dumps(job(configuration=f"racer-{racer}"))
            headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
            together.wait()
            connection.request("POST", "/v1/jobs", body, headers | {"Idempotency-Key": f"race-{number}"})
            answer = connection.getresponse()
            answers.append((answer.status, json.loads(answer.read())["id"]))
        connection.close()
        return answers

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(race, range(2))
    for one, other in zip(first, second, strict=True):
        assert {one[0], other[0]} == {201, 409}
        assert one[1] == other[1]
    assert stored(gateway) == RACES
    assert len({job_id for _, job_id in first}) == RACES


def exchange(gateway: GatewayProcess, sent: bytes) -> bytes:
    """Send bytes, and return all that the gateway answers until it closes."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as connection:
        connection.sendall(sent)
        answer = b""
        while chunk := connection.recv(65_536):
            answer += chunk
        return answer


HEAD = b"Host: x\r\nConnection: close\r\n"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /v1/jobs/a%0d%0aX-Injected:%20yes HTTP/1.1\r\n" + HEAD + b"\r\n", 401),
        (b"GET /%0d%0aX-Injected:%20yes HTTP/1.1\r\n" + HEAD + b"\r\n", 404),
        (b"GET /v1/../metrics HTTP/1.1\r\n" + HEAD + b"\r\n", 404),
        (b"GET /v1/%2e%2e/metrics HTTP/1.1\r\n" + HEAD + b"\r\n", 404),
        (b"GET //metrics HTTP/1.1\r\n" + HEAD + b"\r\n", 404),
        (b"GET /metrics/ HTTP/1.1\r\n" + HEAD + b"\r\n", 404),
        (b"GET /%00 HTTP/1.1\r\n" + HEAD + b"\r\n", 404),
        (b"GET /%ff%fe HTTP/1.1\r\n" + HEAD + b"\r\n", 404),
        (b"GET http://other.example/v1/jobs HTTP/1.1\r\n" + HEAD + b"\r\n", 401),
        (b"GET /v1/jobs?since=%0d%0aX-Injected:%20yes HTTP/1.1\r\n" + HEAD + b"\r\n", 401),
        (b"CONNECT other.example:443 HTTP/1.1\r\n" + HEAD + b"\r\n", 400),
        (b"TRACE / HTTP/1.1\r\n" + HEAD + b"\r\n", 405),
        (b"TRACE /nothing HTTP/1.1\r\n" + HEAD + b"\r\n", 404),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: x\n\n", 400),
        (b"GET /" + b"a" * 60_000 + b" HTTP/1.1\r\n" + HEAD + b"\r\n", 404),
        (
            b"POST /v1/jobs HTTP/1.1\r\n" + HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (b"POST /v1/jobs HTTP/1.1\r\n" + HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcde", 400),
        (b"POST /v1/jobs HTTP/1.1\r\n" + HEAD + b"Content-Length: -5\r\n\r\nabcde", 400),
        (b"POST /v1/jobs HTTP/1.1\r\n" + HEAD + b"Content-Length: %s\r\n\r\n{}" % (b"9" * 4_301), 400),
        (b"POST /sign-in HTTP/1.1\r\n" + HEAD + b"Content-Length: %s\r\n\r\n{}" % (b"9" * 4_301), 400),
        (b"POST /v1/jobs HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    ],
    ids=lambda value: str(value)[2:40],
)
def test_broken_or_injected_request_is_refused(gateway: GatewayProcess, key: str, sent: bytes, status: int) -> None:
    answer = exchange(gateway, sent)
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:200]
    assert answer.count(b"HTTP/1.1 ") == 1
    head = answer.partition(b"\r\n\r\n")[0].lower()
    assert b"x-injected" not in head
    assert gateway.post(key, job()).status_code == 201


@pytest.mark.parametrize("name", ["Authorization", "Idempotency-Key", "Content-Type", "X-Forwarded-For"])
@pytest.mark.parametrize("value", [b"\xff\xfe", b"a" * 60_000, b"\tgp_\x80", b"Bearer", b"bearer gp_" + b"a" * 199])
def test_strange_header_is_refused_and_not_logged(gateway: GatewayProcess, key: str, name: str, value: bytes) -> None:
    body = json.dumps(job(record={"Email": EMAIL})).encode()
    given = {"Authorization": f"Bearer {key}".encode(), "Content-Type": b"application/json", "Host": b"x"}
    headers = given | {name: value, "Connection": b"close", "Content-Length": str(len(body)).encode()}
    sent = b"".join(b"%s: %s\r\n" % (one.encode(), text) for one, text in headers.items())
    answer = exchange(gateway, b"POST /v1/jobs HTTP/1.1\r\n" + sent + b"\r\n" + body)
    expected = {"Authorization": (401,), "Idempotency-Key": (201, 400, 422), "Content-Type": (415,)}
    assert int(answer[9:12]) in expected.get(name, (201,)), answer[:200]
    log = gateway.log()
    assert EMAIL not in log
    assert "aaaaaaaaaa" not in log
    assert key not in log


def test_thousand_idle_requests_are_all_answered(gateway: GatewayProcess, key: str, server: RedisServer) -> None:
    ids = [gateway.post(key, job()).json()["id"] for _ in range(20)]
    head = f"Host: x\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n\r\n"

    async def wait(job_id: str) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(f"GET /v1/jobs/{job_id}?wait=60 HTTP/1.1\r\n{head}".encode())
        answer = await reader.read()
        writer.close()
        return answer

    async def all_wait() -> list[bytes]:
        return await asyncio.gather(*(wait(ids[n % len(ids)]) for n in range(WAITING)))

    with ThreadPoolExecutor(1) as pool:
        answers = pool.submit(asyncio.run, all_wait())
        wait_until(lambda: connections(gateway) >= WAITING)
        assert gateway.post(key, job()).status_code == 201
        assert gateway.memory_mb() < 200
        before = scripts_called(server)
        assert all(gateway.producer.cancel(job_id) for job_id in ids)
        found = answers.result()
    assert {answer.partition(b"\r\n")[0] for answer in found} == {b"HTTP/1.1 200 OK"}
    assert sum(b'"state":"cancelled"' in answer for answer in found) == WAITING
    assert scripts_called(server) - before < WAITING, "each request read its job by a call of its own"


def scripts_called(server: RedisServer) -> int:
    """Return how many scripts Redis has run."""
    with server.client() as client:
        return int(client.info("commandstats")["cmdstat_evalsha"]["calls"])


def connections(gateway: GatewayProcess) -> int:
    """Return the number of open connections to the gateway."""
    rows = map(str.split, Path("/proc/net/tcp").read_text().splitlines())
    return sum(fields[1].endswith(f":{gateway.port:04X}") and fields[3] == "01" for fields in rows)


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/holds", "/v1/operations", "/customergauge/eu/records/", "/sign-in"])
def test_length_with_thousands_of_zeros_is_read_as_a_number(gateway: GatewayProcess, key: str, path: str) -> None:
    def status(length: str) -> bytes:
        kind = "application/json" if path != "/sign-in" else "application/x-www-form-urlencoded"
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\nContent-Type: {kind}\r\n"
        more = f"Sec-Fetch-Site: same-origin\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{{}}"
        return exchange(gateway, (head + more).encode())[:12]

    assert gateway.post(key, job()).status_code == 201  # the key is known: a single job may take the short way
    assert status("0" * 5_000 + "2") == status("2") < b"HTTP/1.1 500"
