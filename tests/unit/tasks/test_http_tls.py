"""The same truth over TLS: before the handshake's end nothing was sent."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gaugepost_tasks.http import HttpClient, direct
from gaugepost_tasks.messages import Request

if TYPE_CHECKING:
    from collections.abc import Iterator

# Tests are not packages (import-mode=importlib), so the file beside this one is loaded by its path.
_spec = importlib.util.spec_from_file_location("tasks_faults", Path(__file__).with_name("faults.py"))
faults = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(faults)
Server, ok, says, resets, stalls = faults.Server, faults.ok, faults.says, faults.resets, faults.stalls

SECRET = "Bearer s3cr3t"
FULL = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"


@pytest.fixture
def client() -> Iterator[HttpClient]:
    made = HttpClient(0.5, 0.3, 4, max_answer_bytes=100_000)
    yield made
    made.close()


def put(url: str, body: bytes = b"body") -> Request:
    return Request("PUT", url, {"Idempotency-Key": "job-1", "Accept": "application/json"}, body, "bearer")


def test_a_certificate_that_nobody_vouches_for_is_unreachable_and_nothing_is_sent(
    client: HttpClient, tmp_path: Path
) -> None:
    tls, _ = faults.authority(tmp_path)
    asked = []
    with Server(ok(), tls=tls) as server:
        answer = client.exchange(put(server.url), SECRET, lambda: asked.append(1))
    assert (answer.failure, server.requests, asked) == ("unreachable", [], [])
    assert answer.detail == "certificate not trusted (SSLCertVerificationError)"


def test_a_certificate_of_another_name_is_unreachable(tmp_path: Path) -> None:
    tls, ca_file = faults.authority(tmp_path, "127.0.0.2")
    with Server(ok(), tls=tls) as server:
        assert HttpClient(0.5, 0.5, 1, ca_file=ca_file).exchange(put(server.url), SECRET).failure == "unreachable"
    assert server.requests == []


def test_a_plain_server_behind_https_is_unreachable(client: HttpClient) -> None:
    with Server(ok()) as server:
        answer = client.exchange(put(server.url.replace("http", "https")), SECRET)
    assert (answer.failure, server.requests) == ("unreachable", [])


def test_over_tls_the_same_holds_after_the_handshake(tmp_path: Path) -> None:
    tls, ca_file = faults.authority(tmp_path)
    client = HttpClient(1, 0.3, 2, ca_file=ca_file)
    steps = [ok(), ok(), says(FULL + b"short", go_on=False), resets(), stalls(FULL)]
    asked = []
    with Server(*steps, tls=tls) as server:
        answers = [client.exchange(put(server.url, b"x" * 70_000), SECRET, lambda: asked.append(1)) for _ in steps]
    assert [answer.failure for answer in answers] == [None, None, *["lost_answer"] * 3]
    assert (len(asked), server.connections) == (5, 3)


def test_over_tls_an_idle_connection_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(direct, "MAX_IDLE_S", -1)
    tls, ca_file = faults.authority(tmp_path)
    client = HttpClient(1, 1, 2, ca_file=ca_file)
    with Server(ok(), ok(), tls=tls) as server:
        assert [client.exchange(put(server.url), SECRET).body for _ in range(2)] == [b"fine"] * 2
