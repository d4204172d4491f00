"""JSON lines: as long as you like, a line out for a line in."""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gaugepost import Region
from support.gateway import EMAIL, GatewayProcess, job
from support.redis_server import RedisServer
from support.wait import wait_until

LINES = "application/x-ndjson"
HOSTILE = [
    '{"kind": "rec',
    '{"kind": "record", "kind": "record"}',
    "[" * 50_000,
    json.dumps(job(region="mars")),
    json.dumps({"kind": "file", "region": "eu", "family": "contact", "path": "a.csv"}),
]


def send(gateway: GatewayProcess, key: str, lines: Any) -> list[dict[str, Any]]:
    body = lines if isinstance(lines, bytes) else "".join(f"{line}\n" for line in lines).encode()
    answer = gateway.call("POST", "/v1/jobs", key, data=body, headers={"Content-Type": LINES})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, LINES)
    return [json.loads(line) for line in answer.text.splitlines()]


def test_lines_are_answered_as_enqueue_prints_them(gateway: GatewayProcess, key: str) -> None:
    again = json.dumps(job(idempotency_key="a"))
    other = json.dumps(job(idempotency_key="a", configuration="b"))
    rows = send(gateway, key, [again, "", again, other, json.dumps(job(region="us"))])
    first = rows[0]["id"]
    assert rows[:3] == [
        {"line": 1, "id": first, "state": "queued", "duplicate": False},
        {"line": 3, "id": first, "state": "queued", "duplicate": True},
        {"line": 4, "id": first, "state": "queued", "duplicate": True, "conflict": True},
    ]
    assert gateway.producer.job(rows[3]["id"]).region is Region.US


def test_wrong_lines_do_not_stop_the_others(gateway: GatewayProcess, key: str) -> None:
    lines = [json.dumps(job()), *HOSTILE, json.dumps(job()), "x" * 20_000_000, json.dumps(job())]
    rows = send(gateway, key, lines)
    assert [row["line"] for row in rows] == list(range(1, 10))
    assert [row["line"] for row in rows if "id" in row] == [1, 7, 9]
    assert all(row["errors"] for row in rows if "id" not in row)
    assert "at most 1,000,000 bytes" in rows[7]["errors"][0]["message"]


def test_last_line_needs_no_line_break(gateway: GatewayProcess, key: str) -> None:
    assert len(send(gateway, key, json.dumps(job()).encode())) == 1
    assert send(gateway, key, b"") == []
    assert len(send(gateway, key, b"\xef\xbb\xbf" + json.dumps(job()).encode() + b"\r\n")) == 1


def test_lines_of_a_region_that_the_key_lacks_are_refused(gateway: GatewayProcess) -> None:
    rows = send(gateway, gateway.key("eu", regions=("eu",)), [json.dumps(job(region="us")), json.dumps(job())])
    assert (rows[0]["errors"][0]["field"], rows[1]["state"]) == ("region", "queued")


class Conversation:
    """A request that is sent line by line, while its answer is read."""

    def __init__(self, gateway: GatewayProcess, key: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
        self._connection.putrequest("POST", "/v1/jobs")
        headers = {"Content-Type": LINES, "Transfer-Encoding": "chunked", "Authorization": f"Bearer {key}"}
        for name, value in headers.items():
            self._connection.putheader(name, value)
        self._connection.endheaders()
        self._answer: http.client.HTTPResponse | None = None

    def send(self, data: bytes) -> None:
        self._connection.send(b"%x\r\n%s\r\n" % (len(data), data))

    def line(self) -> dict[str, Any]:
        self._answer = self._answer or self._connection.getresponse()
        return json.loads(self._answer.readline() or b"{}")

    def rest(self) -> list[dict[str, Any]]:
        return list(iter(self.line, {}))

    def end(self) -> None:
        self._connection.send(b"0\r\n\r\n")

    def close(self) -> None:
        if self._answer is not None:
            self._answer.close()
        self._connection.close()


@contextlib.contextmanager
def conversation(gateway: GatewayProcess, key: str) -> Iterator[Conversation]:
    one = Conversation(gateway, key)
    try:
        yield one
    finally:
        one.close()


def line() -> bytes:
    return json.dumps(job()).encode() + b"\n"


def test_line_is_answered_while_the_next_is_not_yet_sent(gateway: GatewayProcess, key: str) -> None:
    with conversation(gateway, key) as one:
        for number in range(1, 4):
            one.send(line())
            assert one.line()["line"] == number
        one.end()
        assert one.rest() == []


def test_body_cut_in_a_line_stores_only_the_whole_lines(gateway: GatewayProcess, key: str) -> None:
    with conversation(gateway, key) as one:
        one.send(line() + line() + line()[:-5])
        assert [one.line()["line"], one.line()["line"]] == [1, 2]
    wait_until(lambda: '"route": "/v1/jobs", "method": "POST", "status": 200' in gateway.log().splitlines()[-1])
    assert gateway.producer.ledger(Region.EU).summary()["queued"] == 2


def revoke(gateway: GatewayProcess, *regions: Region) -> None:
    """Revoke the key `crm`."""
    for region in regions:
        gateway.producer.ledger(region).api_keys.drop("crm")


def test_revoked_key_ends_the_lines_with_a_problem(gateway: GatewayProcess, key: str) -> None:
    with conversation(gateway, key) as one:
        one.send(line())
        assert one.line()["state"] == "queued"
        revoke(gateway, *Region)
        wait_until(lambda: gateway.call("GET", "/v1/status", key).status_code == 401)
        one.send(line())
        row = one.line()
        assert (row["line"], row["problem"]["status"], one.line()) == (2, 401, {})
    assert gateway.producer.ledger(Region.EU).summary()["queued"] == 1


def test_key_that_lost_a_region_ends_the_lines_of_it(gateway: GatewayProcess, key: str) -> None:
    with conversation(gateway, key) as one:
        one.send(line())
        assert one.line()["state"] == "queued"
        revoke(gateway, Region.EU)
        wait_until(lambda: gateway.call("GET", "/v1/status?region=eu", key).status_code == 403)
        one.send(json.dumps(job(region="us")).encode() + b"\n")
        assert one.line()["state"] == "queued"
        one.send(line())
        row = one.line()
        assert (row["line"], row["problem"]["status"]) == (3, 403)


def test_redis_that_dies_ends_the_lines_with_a_problem(server: RedisServer, tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, server.url) as gateway, conversation(gateway, gateway.key("dies")) as one:
        one.send(line())
        assert one.line()["state"] == "queued"
        server.kill()
        try:
            one.send(line())
            row = one.line()
        finally:
            server.start()
        assert (row["line"], row["problem"]["status"]) == (2, 503)
        assert one.line() == {}


def test_sigterm_answers_what_came_and_names_the_first_line_of_the_rest(server: RedisServer, tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, server.url) as gateway, conversation(gateway, gateway.key("ends")) as one:
        one.send(line())
        assert one.line()["state"] == "queued"
        gateway.terminate()
        row = one.line()
        assert (row["line"], row["problem"]["status"]) == (2, 503)
        assert gateway.process is not None
        one.close()
        assert gateway.process.wait(30) == 0


def test_many_lines_take_bounded_memory(gateway: GatewayProcess, key: str) -> None:
    lines = [json.dumps(job(record={"Email": EMAIL, "n": str(n)})) for n in range(20_000)]
    send(gateway, key, lines[:1_000])
    before = gateway.memory_mb()
    rows = send(gateway, key, lines)
    assert [row["line"] for row in rows] == list(range(1, 20_001))
    assert gateway.memory_mb() - before < 20
