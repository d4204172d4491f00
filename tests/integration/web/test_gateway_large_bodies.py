"""Large bodies: others are answered meanwhile, and all of them together take a bounded memory."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import requests

from gaugepost import Region
from gaugepost_ops.web.bodies import MAX_ARRAY_BODY
from gaugepost_ops.web.large_bodies import MOST_BYTES
from support.gateway import EMAIL, GatewayProcess, job
from support.wait import wait_until

if TYPE_CHECKING:
    from support.redis_server import RedisServer


JSON = {"Content-Type": "application/json"}


def stored(gateway: GatewayProcess) -> int:
    return gateway.producer.ledger(Region.EU).summary()["queued"]


def test_large_arrays_let_other_requests_go_on(gateway: GatewayProcess, key: str) -> None:
    large = json.dumps([job(record={"Email": EMAIL, "text": "é" * 2_500})] * 1_000, ensure_ascii=False).encode()
    ended = threading.Event()

    def small() -> int:
        count = 0
        while not ended.is_set():
            assert gateway.call("GET", "/healthz").status_code == 200
            count += 1
        return count

    with ThreadPoolExecutor(3) as pool:
        meanwhile = pool.submit(small)
        answers = list(pool.map(lambda _: gateway.post(key, large), range(2)))
        ended.set()
        assert meanwhile.result() > 20
    assert [(answer.status_code, len(answer.json())) for answer in answers] == [(200, 1_000)] * 2
    assert stored(gateway) == 2_000


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"[" + b"[]," * 5_000_000 + b"[]]", 413, "at most 1,000 jobs"),
        (b"[" + b"{}," * 999 + b"{}]", 422, "job 1: "),
        (b"[" + b" " * 100_000 + b"]", 400, "1 to 1,000 jobs"),
        (b"[" + b" " * 100_000 + b"{}", 400, "Expecting ',' delimiter at line 1, column 100004"),
        (b"[" + b" " * 100_000 + b"{}] x", 400, "Extra data at line 1, column 100006"),
        (b"[" + b" " * 100_000 + b"{},]", 400, "Expecting value at line 1, column 100005"),
        (b"[" * 1_000_000, 400, "nested too deeply"),
        (b"[1" + b"0" * 1_000_000 + b"]", 422, ""),
        (b"[" + b" " * 100_000 + b'{"a": 1, "a": 2}]', 400, "each key only once"),
        (b"[" + b" " * 100_000 + b"NaN]", 400, "NaN is no JSON"),
        (b"[" + b" " * 100_000 + b'"\xff"]', 400, "byte 100003 is not UTF-8"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_large_array_that_is_wrong_is_refused(
    gateway: GatewayProcess, key: str, body: bytes, status: int, said: str
) -> None:
    answer = gateway.post(key, body)
    assert (answer.status_code, said in answer.json()["detail"]) == (status, True), answer.text
    assert stored(gateway) == 0


def test_large_file_is_stored(gateway: GatewayProcess, key: str) -> None:
    rows = b"Email,Date\n" + b"a@example.net,2026-01-01 00:00:00\n" * 1_999
    sent = {"kind": "file", "region": "eu", "family": "contact", "filename": "a.csv"}
    answer = gateway.post(key, sent | {"content_base64": base64.b64encode(rows).decode()})
    assert answer.status_code == 201, answer.text
    assert gateway.call("GET", answer.headers["Location"], key).json()["rows"] == 1_999


def begin(gateway: GatewayProcess, key: str, length: int) -> socket.socket:
    """Send the head of a request, and all of its body but the last byte."""
    connection = socket.create_connection(("127.0.0.1", gateway.port), timeout=30)
    head = f"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n"
    connection.sendall(f"{head}Content-Length: {length}\r\n\r\n".encode() + b" " * (length - 1))
    return connection


def status_of(connection: socket.socket) -> int:
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return answer.status


def unread_bytes(port: int) -> int:
    """Count the bytes in the buffers of the connections to a port of this machine."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ends = f":{port:04X}"
    queues = [row[4] for row in rows if row[1].endswith(ends) or row[2].endswith(ends)]
    return sum(int(number, 16) for queue in queues for number in queue.split(":"))


def test_bodies_that_are_too_many_are_refused_until_others_end(server: RedisServer, tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, server.url) as gateway, ExitStack() as stack:
        key = gateway.key("large")
        fit = MOST_BYTES // MAX_ARRAY_BODY
        held = [stack.enter_context(begin(gateway, key, MAX_ARRAY_BODY)) for _ in range(fit)]

        def refused() -> bool:
            answer = gateway.post(key, b" " * 1_000_000)
            return (answer.status_code, answer.headers.get("Retry-After")) == (503, "2")

        wait_until(lambda: unread_bytes(gateway.port) == 0)  # a probe must not take their room
        wait_until(refused)
        assert gateway.post(key, job()).status_code == 201
        assert gateway.memory_mb() < 250
        for one in held[:2]:
            one.sendall(b" ")
        assert {status_of(one) for one in held[:2]} == {413}
        for one in held[2:]:
            one.close()
        wait_until(lambda: gateway.post(key, b" " * MAX_ARRAY_BODY).status_code == 413)


def test_job_that_is_too_long_is_refused_before_it_is_read(gateway: GatewayProcess, key: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    connection.putrequest("POST", "/v1/jobs")
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json", "Content-Length": "16000001"}
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


def test_job_with_thousands_of_wrong_fields_lets_others_go_on(gateway: GatewayProcess, key: str) -> None:
    record = json.dumps({f"field {n}": [] for n in range(40_000)})
    body = json.dumps(job(record={})).replace('"record": {}', f'"record": {record}').encode()
    lines = {"Content_Type": "application/x-ndjson"}
    answers = []
    with ThreadPoolExecutor(1) as pool:
        for ask in (
            lambda: gateway.post(key, body),
            lambda: gateway.post(key, body + b"\n", **lines),
            lambda: gateway.call("PUT", "/customergauge/eu/records/", key, data=body, headers=JSON),
        ):
            for _ in range(3):  # a busy machine may once leave this process no time to ask
                asking, count = pool.submit(ask), 0
                while not asking.done():
                    assert requests.get(f"{gateway.url}/healthz", timeout=30).status_code == 200
                    count += 1
                if count > 20:
                    break
            assert count > 20
            answers.append(asking.result())
    assert [answer.status_code for answer in answers] == [422, 200, 422]
    assert len(answers[0].json()["errors"]) == len(answers[1].json()["errors"]) == 100
    assert f"and {40_000 - 3:,} more".replace(",", "") in answers[0].json()["detail"]
