"""Send requests through a real proxy that knows only CONNECT. A failure of the proxy is not one of CustomerGauge."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from gaugepost import Record, Region
from gaugepost_tasks.http import HttpClient
from gaugepost_tasks.http_messages import Request
from support.connect_proxy import ConnectProxy
from support.faulty_server import Server, Step, authority, ok, resets, says, stalls
from support.proxy import Proxy
from support.redis_server import free_port
from support.stack import Stack
from support.wait import wait_until

LOGIN = "gauge:p@ss/wörd"
SECRET = "Bearer s3cr3t"


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, str]:
    return authority(tmp_path_factory.mktemp("tls"))


def put(url: str) -> Request:
    return Request("PUT", url, {"Idempotency-Key": "job-1"}, b"body", "bearer")


def client(proxy: ConnectProxy | str, **more: Any) -> HttpClient:
    return HttpClient(1, 1, 4, proxy_url=proxy if isinstance(proxy, str) else proxy.url, **more)


@pytest.mark.parametrize("login", ["", LOGIN])
@pytest.mark.parametrize("proxy_tls", [False, True])
@pytest.mark.parametrize("target_tls", [False, True])
def test_requests_go_through_a_tunnel(
    tmp_path: Path, tls: tuple[ssl.SSLContext, str], login: str, proxy_tls: bool, target_tls: bool
) -> None:
    context, pem = tls
    with (
        ConnectProxy(tmp_path, login=login, pem=pem if proxy_tls else "") as proxy,
        Server(ok(), ok(), tls=context if target_tls else None) as server,
    ):
        http = client(proxy, ca_file=pem)
        answers = [http.exchange(put(server.url), SECRET) for _ in range(2)]
        assert [(answer.status, answer.body) for answer in answers] == [(200, b"fine")] * 2
        target = urlsplit(server.url).netloc
        assert proxy.asked() == [f"200 {target}"]
        http.close()
    assert server.requests[0].startswith(b"PUT /path HTTP/1.1\r\n")
    assert b"host: %b\r\n" % target.encode() in server.requests[0].lower()
    assert not any(b"proxy-" in raw.lower() for raw in server.requests)


# The proxy fails.


@pytest.fixture(params=["refused", "no such name", "another password", "bad gateway", "no TLS", "not trusted"])
def broken(
    request: pytest.FixtureRequest, tmp_path: Path, tls: tuple[ssl.SSLContext, str]
) -> Iterator[tuple[str, str]]:
    """Yield the URL of a failing proxy, and the expected failure text."""
    match request.param:
        case "refused":
            yield f"http://u:s3cr3t@127.0.0.1:{free_port()}", "connection refused (ConnectionRefusedError)"
        case "no such name":
            yield "http://u:s3cr3t@no-such-host.invalid:3128", "host name not found (gaierror)"
        case "another password":
            with ConnectProxy(tmp_path, login=LOGIN) as proxy:
                yield f"http://gauge:s3cr3t@127.0.0.1:{proxy.port}", "answered 407 to CONNECT"
        case "bad gateway":
            with ConnectProxy(tmp_path, status=502) as proxy:
                yield proxy.url, "answered 502 to CONNECT"
        case "no TLS":
            with ConnectProxy(tmp_path) as proxy:
                yield f"https://127.0.0.1:{proxy.port}", ""
        case "not trusted":
            with ConnectProxy(tmp_path, pem=tls[1]) as proxy:
                yield proxy.url, "certificate not trusted (SSLCertVerificationError)"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_failure_of_the_proxy_names_the_proxy(broken: tuple[str, str], scheme: str) -> None:
    url, words = broken
    asked = []
    with Server(ok()) as server:
        target = server.url.replace("http:", f"{scheme}:")
        answer = client(url).exchange(put(target), SECRET, lambda: asked.append(1))
    assert (answer.failure, answer.at_proxy, server.connections, asked) == ("unreachable", True, 0, [])
    assert answer.detail.startswith(f"proxy: {urlsplit(url).netloc.rpartition('@')[2]}: {words}")
    assert "s3cr3t" not in repr(answer)


@pytest.mark.parametrize(
    "step",
    [
        stalls(),
        resets(),
        says(b"", go_on=False),
        says(b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 20_000, go_on=False),
        says(b"nonsense\r\n\r\n", go_on=False),
        says(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n"),
    ],
)
def test_proxy_that_answers_badly_is_unreachable(step: Step) -> None:
    with Server(step) as proxy:
        answer = HttpClient(0.3, 0.3, 1, proxy_url=proxy.url.removesuffix("/path")).exchange(
            put("https://records.invalid/"), SECRET
        )
    assert (answer.failure, answer.at_proxy, len(proxy.requests)) == ("unreachable", True, 1)
    assert b"s3cr3t" not in proxy.requests[0]


# The target fails, behind a proxy that works.


def test_untrusted_target_behind_a_proxy_is_not_its_fault(tmp_path: Path, tls: tuple[ssl.SSLContext, str]) -> None:
    with ConnectProxy(tmp_path) as proxy, Server(ok(), tls=tls[0]) as server:
        answer = client(proxy).exchange(put(server.url), SECRET)
    assert (answer.failure, answer.at_proxy, server.requests) == ("unreachable", False, [])
    assert answer.detail == "certificate not trusted (SSLCertVerificationError)"


@pytest.mark.parametrize(
    "step", [resets(), stalls(), says(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", go_on=False)]
)
def test_answer_lost_behind_a_proxy_is_lost(tmp_path: Path, tls: tuple[ssl.SSLContext, str], step: Step) -> None:
    with ConnectProxy(tmp_path) as proxy, Server(step, tls=tls[0]) as server:
        answer = client(proxy, ca_file=tls[1]).exchange(put(server.url), SECRET)
        assert len(server.requests) == 1
    assert (answer.failure, answer.at_proxy) == ("lost_answer", False)


def test_tunnel_closed_during_the_hook_is_replaced(tmp_path: Path, tls: tuple[ssl.SSLContext, str]) -> None:
    asked = []
    with ConnectProxy(tmp_path) as proxy, Server(ok(), ok(), tls=tls[0]) as server:
        http = HttpClient(10, 10, 4, proxy_url=proxy.url, ca_file=tls[1])

        def restart() -> None:
            asked.append(1)
            proxy.kill()
            proxy.start()

        assert http.exchange(put(server.url), SECRET).body == b"fine"
        answer = http.exchange(put(server.url), SECRET, restart)
        assert answer.body == b"fine", answer
        assert (asked, len(proxy.asked()), len(server.requests)) == ([1], 1, 2)


# A worker, all the way.


@pytest.fixture
def behind_proxy(tmp_path: Path, tls: tuple[ssl.SSLContext, str]) -> Iterator[tuple[Stack, ConnectProxy]]:
    """Start a stack whose worker reaches the simulator over TLS, through a proxy with a password."""
    proxy = ConnectProxy(tmp_path, login=LOGIN)
    with Stack(tmp_path, proxy_url=proxy.url, ca_file=tls[1], read_timeout=10, lease=20) as stack:
        port = urlsplit(stack.settings.api_url).port
        assert port is not None
        with Proxy(port, tls=tls[0]) as front:
            for name in ("AUTH_URL", "IMPORTS_URL", "API_URL"):
                plain = stack.variables[f"GAUGEPOST_{name}"]
                stack.variables[f"GAUGEPOST_{name}"] = plain.replace(
                    f"http://127.0.0.1:{port}", f"https://127.0.0.1:{front.port}"
                )
            yield stack, proxy
        proxy.kill()


def records(first: int, count: int) -> Iterator[Record]:
    for i in range(first, first + count):
        yield Record(region=Region.EU, configuration="multi-object", record={"Email": f"person{i}@example.net"})


def test_worker_delivers_through_a_proxy_that_dies_and_comes_back(behind_proxy: tuple[Stack, ConnectProxy]) -> None:
    stack, proxy = behind_proxy
    receipts = list(stack.producer.enqueue_many(records(0, 100)))
    stack.worker()
    stack.beat()

    def held(scope: str) -> bool:
        holds = stack.producer.ledger(Region.EU).holds()
        return scope in holds and holds[scope].reason.startswith(f"proxy: 127.0.0.1:{proxy.port}: ")

    wait_until(lambda: held("credentials:oauth"), what="the token cannot be fetched, and the proxy is named")
    proxy.start()
    wait_until(lambda: stack.counts()["delivered"] == 100, within=90, what="the probe finds the proxy back")
    receipts += stack.producer.enqueue_many(records(100, 900))
    wait_until(lambda: stack.counts()["delivered"] == 1_000, what="1,000 are delivered")
    proxy.kill()
    receipts += stack.producer.enqueue_many(records(1_000, 100))
    wait_until(lambda: held(""), what="a record cannot be sent, and the proxy is named")
    wait_until(lambda: stack.counts()["queued"] == 100, what="all are back in the queue")
    proxy.start()
    wait_until(lambda: stack.counts()["delivered"] == 1_100, within=90, what="all are delivered")

    assert stack.keys() == {receipt.id: 1 for receipt in receipts}
    attempts = [attempt for receipt in receipts for attempt in stack.producer.job(receipt.id).history.attempts()]
    assert not [attempt for attempt in attempts if attempt.counted and attempt.verdict != "delivered"]
    assert len(proxy.asked()) > 0
    assert "w\u00f6rd" not in stack.logs()
