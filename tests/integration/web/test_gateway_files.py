"""`/v1/files`: upload, follow, cancel and undo files of any length; rejected rows."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from gaugepost import Region
from gaugepost.ledger.api_keys import Scope
from support.deployment import ROOT
from support.gateway import EMAIL, GatewayProcess
from support.redis_server import RedisServer
from support.stack import Stack
from support.wait import wait_until

FORM = {"region": "eu", "family": "contact"}


def rows(number: int, first: int = 0) -> bytes:
    return b"Email,Date\n" + b"".join(
        b"p%d@example.net,2026-01-01 10:00:00\n" % n for n in range(first, first + number)
    )


def send(gateway: GatewayProcess, key: str, content: bytes = rows(3), name: str = "people.csv", **form: str) -> Any:
    return gateway.call("POST", "/v1/files", key, data=FORM | form, files={"file": (name, content)})


def trail(gateway: GatewayProcess) -> list[tuple[Any, ...]]:
    found = [entry.to_dict() for entry in gateway.producer.ledger(Region.EU).audit.read()]
    return [(row["actor"], row["action"], row["count"], row["outcome"]) for row in found]


def queued(gateway: GatewayProcess) -> int:
    return int(gateway.producer.ledger(Region.EU).summary()["waiting"])


def test_long_file_is_split_and_shown_with_its_starts(gateway: GatewayProcess, key: str) -> None:
    answer = send(gateway, key, rows(4_500), source="crm", batch="spring")
    made = answer.json()
    assert (answer.status_code, answer.headers["Location"]) == (201, f"/v1/files/{made['id']}")
    assert [part["rows"] for part in made["parts"]] == [2_000, 2_000, 500]
    shown = gateway.call("GET", answer.headers["Location"], key).json()
    assert [part["id"] for part in shown["parts"]] == [part["id"] for part in made["parts"]]
    assert all(part["due"] for part in shown["parts"])
    assert (shown["rows"], shown["states"]) == (4_500, {"waiting": 3})
    job = gateway.producer.job(made["parts"][0]["id"]).job
    assert (job["source"], job["batch"]) == ("crm", "spring")
    assert trail(gateway) == [("crm", "upload", 3, "done")]
    entry = gateway.producer.ledger(Region.EU).audit.read()[0]
    assert entry.target == f"people.csv {made['id']}"


def test_dry_run_stores_nothing(gateway: GatewayProcess, key: str) -> None:
    answer = send(gateway, key, dry_run="true")
    assert (answer.status_code, answer.json()["id"], len(answer.json()["parts"])) == (200, None, 1)
    assert queued(gateway) == 0
    assert trail(gateway) == []


def test_same_content_is_refused_with_the_first_set_unless_again(gateway: GatewayProcess, key: str) -> None:
    first = send(gateway, key).json()
    refused = send(gateway, key)
    assert (refused.status_code, refused.json()["id"]) == (409, first["id"])
    assert send(gateway, key, again="true").status_code == 201
    assert queued(gateway) == 2


def test_same_file_sent_at_once_is_stored_once_and_named(gateway: GatewayProcess, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}"}

    def post(content: bytes) -> requests.Response:
        files = {"file": ("people.csv", content)}
        return requests.post(f"{gateway.url}/v1/files", data=FORM, files=files, headers=headers, timeout=60)

    for turn in range(4):
        content = rows(4_000, first=turn)
        with ThreadPoolExecutor(4) as pool:
            answers = sorted(pool.map(post, [content] * 4), key=lambda answer: answer.status_code)
        assert [answer.status_code for answer in answers] == [201, 409, 409, 409], [one.text for one in answers]
        assert len({answer.json()["id"] for answer in answers}) == 1


def test_second_file_in_a_form_is_refused(gateway: GatewayProcess, key: str) -> None:
    for names in (("file", "file"), ("file", "more")):
        files = [(name, ("a.csv", rows(1))) for name in names]
        answer = gateway.call("POST", "/v1/files", key, data=FORM, files=files)
        assert (answer.status_code, "expected one file" in answer.json()["detail"]) == (400, True), answer.text
    assert queued(gateway) == 0


@pytest.mark.parametrize(
    ("field", "head", "value"),
    [
        ("source", b'name="source"', b"\xe9"),
        ("file", b'name="file"; filename="\xe9.csv"', b"Email\na@example.net\n"),
        ("\ufffd", b'name="\xe9"', b"a"),
        ("x[]", b'name="x[]"', b'1\r\n--b\r\nContent-Disposition: form-data; name="x[]"\r\n\r\n2'),
    ],
    ids=lambda value: str(value)[:20],
)
def test_form_that_would_change_is_refused_by_field(
    gateway: GatewayProcess, key: str, field: str, head: bytes, value: bytes
) -> None:
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    body = b"--b\r\nContent-Disposition: form-data; " + head + b"\r\n\r\n" + value + b"\r\n--b--\r\n"
    answer = gateway.call("POST", "/v1/files", key, data=body, headers=kind)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field), answer.text


@pytest.mark.parametrize(
    ("name", "content", "form", "status", "field"),
    [
        ("a.txt", b"a", {}, 422, "file"),
        ("a.csv", b"", {}, 422, "file"),
        ("a.xlsx", b"PK", {}, 422, "file"),
        ("a/../b.csv", rows(1), {}, 422, "file"),
        ("..", rows(1), {}, 422, "file"),
        ("x" * 300 + ".csv", rows(1), {}, 422, "file"),
        ("a.csv", rows(1), {"region": "mars"}, 422, "region"),
        ("a.csv", rows(1), {"family": "people"}, 422, "family"),
        ("a.csv", rows(1), {"deliver_at": "soon"}, 422, "deliver_at"),
        ("a.csv", rows(1), {"deliver_at": "400d"}, 422, "deliver_at"),
        ("a.csv", rows(1), {"batch": "a b"}, 422, "batch"),
        ("a.csv", rows(1), {"more": "1"}, 422, "more"),
    ],
    ids=str,
)
def test_wrong_file_or_field_is_refused(
    gateway: GatewayProcess, key: str, name: str, content: bytes, form: dict[str, str], status: int, field: str
) -> None:
    answer = send(gateway, key, content, name, **form)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (status, field), answer.text
    assert queued(gateway) == 0


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/json", b"{}", 415),
        ("multipart/form-data", b"--b--\r\n", 400),
        ("multipart/form-data; boundary=b", b"", 400),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\na',
            400,
        ),
        ("multipart/form-data; boundary=b", b"--b\r\n" + b"x: y\r\n" * 20 + b"\r\na\r\n--b--\r\n", 400),
        ("multipart/form-data; boundary=b", b"--b--\r\n", 422),
    ],
    ids=lambda value: str(value)[:40],
)
def test_body_that_is_no_form_is_refused(
    gateway: GatewayProcess, key: str, kind: str, body: bytes, status: int
) -> None:
    answer = gateway.call("POST", "/v1/files", key, data=body, headers={"Content-Type": kind})
    assert answer.status_code == status, answer.text
    assert not list(Path("/tmp").glob("gaugepost-*/*.part"))


def test_form_in_small_pieces_is_read(gateway: GatewayProcess, key: str) -> None:
    prepared = requests.Request("POST", gateway.url, data=FORM, files={"file": ("a.csv", rows(200))}).prepare()
    body, kind = prepared.body, prepared.headers["Content-Type"]
    assert isinstance(body, bytes)

    def pieces() -> Iterator[bytes]:
        yield from (body[n : n + 7] for n in range(0, len(body), 7))

    answer = gateway.call("POST", "/v1/files", key, data=pieces(), headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["rows"]) == (201, 200)


def test_large_file_takes_bounded_memory(gateway: GatewayProcess, key: str) -> None:
    send(gateway, key, rows(10), dry_run="true")
    before = gateway.memory_mb()
    content = b"Email,Date,Text\n" + b"".join(
        b"p%d@example.net,2026-01-01 10:00:00,%s\n" % (n, b"x" * 900) for n in range(60_000)
    )
    answer = send(gateway, key, content, dry_run="true")
    assert (answer.status_code, answer.json()["rows"]) == (200, 60_000)
    assert gateway.memory_mb() - before < len(content) / 1e6 / 2


def test_upload_that_breaks_off_is_forgotten(server: RedisServer, tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, server.url, namespace="broken") as gateway:
        key = gateway.key("broken")
        for _ in range(6):  # more than one process takes at once
            with socket.create_connection(("127.0.0.1", gateway.port)) as sent:
                head = (
                    f"POST /v1/files HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\nContent-Length: 900000\r\n"
                )
                kind = "Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n"
                file = 'Content-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n' + "a" * 200_000
                sent.sendall(f"{head}{kind}{file}".encode())
            wait_until(lambda: gateway.log().count('"/v1/files"') > 0)
        wait_until(lambda: gateway.log().count('"/v1/files"') == 6)
        assert "Traceback" not in gateway.log()
        assert send(gateway, key).status_code == 201


def test_scopes_and_regions_hold_for_files(gateway: GatewayProcess, key: str) -> None:
    made = send(gateway, key).json()
    path = f"/v1/files/{made['id']}"
    reads, writes = gateway.key("reads", scopes=(Scope.READ,)), gateway.key("writes", scopes=(Scope.ENQUEUE,))
    of_us = gateway.key("us", regions=("us",))
    assert send(gateway, reads).status_code == 403
    assert send(gateway, of_us).status_code == 403
    assert gateway.call("GET", path, writes).status_code == 403
    assert [gateway.call("POST", f"{path}/{name}", writes).status_code for name in ("cancel", "undo")] == [403] * 2
    assert [gateway.call("GET", one, of_us).status_code for one in (path, f"{path}/rejects")] == [404] * 2
    assert gateway.call("POST", f"{path}/cancel", of_us).status_code == 404
    for wrong in ("set-", "set-" + "g" * 32, "set-" + "0" * 32, made["parts"][0]["id"]):
        assert gateway.call("GET", f"/v1/files/{wrong}", key).status_code == 404


def test_source_of_the_key_is_that_of_the_parts(gateway: GatewayProcess) -> None:
    shop = gateway.key("shop", scopes=(Scope.ENQUEUE,), source="shop")
    made = send(gateway, shop, source="crm").json()
    assert gateway.producer.job(made["parts"][0]["id"]).job["source"] == "shop"


def test_cancelled_file_says_so_and_too_late_is_a_conflict(gateway: GatewayProcess, key: str) -> None:
    made = send(gateway, key, rows(2_500)).json()
    path = f"/v1/files/{made['id']}/cancel"
    answers = [gateway.call("POST", path, key) for _ in range(2)]
    assert [(one.status_code, one.json()["cancelled"]) for one in answers] == [(200, 2), (200, 0)]
    assert [part["state"] for part in answers[0].json()["parts"]] == ["cancelled"] * 2
    undone = gateway.call("POST", f"/v1/files/{made['id']}/undo", key)
    assert (undone.status_code, "nothing to undo" in undone.json()["detail"]) == (409, True)
    missing = gateway.call("GET", f"/v1/files/{made['id']}/rejects", key)
    assert (missing.status_code, "no rejected row" in missing.json()["detail"]) == (404, True)


@pytest.fixture(scope="module")
def delivering(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, GatewayProcess]]:
    folder = tmp_path_factory.mktemp("stack")
    with Stack(folder) as stack, GatewayProcess(folder, stack.redis.url) as gateway:
        stack.worker()
        yield stack, gateway


def test_rejected_rows_come_back_and_the_file_is_undone(delivering: tuple[Stack, GatewayProcess]) -> None:
    stack, gateway = delivering
    key = gateway.key()
    stack.sim.knobs(reject_rows=[2])
    made = send(gateway, key, rows(3)).json()
    part = made["parts"][0]["id"]
    assert gateway.call("GET", f"/v1/jobs/{part}?wait=60", key).json()["state"] == "delivered"
    path = f"/v1/files/{made['id']}"
    shown = gateway.call("GET", path, key).json()
    assert (shown["result"]["unsuccessful"], shown["ended"]) == (1, True)
    answer = gateway.call("GET", f"{path}/rejects", key)
    assert (answer.headers["Content-Type"].partition(";")[0], answer.content.count(b"@example.net")) == ("text/csv", 1)
    assert b"Record" in gateway.call("GET", f"{path}/rejects?reasons=true", key).content
    undone = gateway.call("POST", f"{path}/undo", key).json()
    [deletion] = undone["deletions"]
    assert gateway.call("GET", f"/v1/jobs/{deletion['id']}?wait=60", key).json()["state"] == "delivered"
    actions = [row[1] for row in trail(gateway)]
    assert actions == ["uploads undo", "uploads rejects", "uploads rejects", "upload"]
    assert EMAIL not in gateway.log()


def test_rows_are_those_of_the_command_line(
    gateway: GatewayProcess, key: str, server: RedisServer, tmp_path: Path
) -> None:
    made = send(gateway, key, rows(2_500)).json()
    gateway.call("POST", f"/v1/files/{made['id']}/cancel", key)  # forecasts of waiting parts move with the clock
    command = [str(ROOT / ".venv/bin/gaugepost"), "job", made["id"], "--json"]
    done = subprocess.run(
        command, env={"GAUGEPOST_REDIS_URL": server.url}, capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert gateway.call("GET", f"/v1/files/{made['id']}", key).json() == json.loads(done.stdout)
