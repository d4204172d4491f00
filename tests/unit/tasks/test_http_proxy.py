"""Through a proxy: a tunnel to every target; failures of proxy and target. `test_egress_proxy.py` uses a real proxy."""

from __future__ import annotations

import ssl
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gaugepost import Region, Settings
from gaugepost_tasks.http import HttpClient
from gaugepost_tasks.http_messages import Answer, Request
from support.faulty_server import Server, Step, authority, ok, resets, says, tunnels

SECRET = "Bearer s3cr3t"


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, str]:
    return authority(tmp_path_factory.mktemp("tls"))


def put(url: str) -> Request:
    return Request("PUT", url, {"Idempotency-Key": "job-1"}, b"body", "bearer")


def port_of(server: Server) -> int:
    return urlsplit(server.url).port or 0


def through(proxy: Server, target: Server | str, ca_file: str | None = None) -> Answer:
    url = proxy.url.removesuffix("/path").replace("://", "://joe:p%40ss@")
    url_of_target = target if isinstance(target, str) else target.url
    client = HttpClient(10, 10, 1, proxy_url=url, ca_file=ca_file)
    try:
        return client.exchange(put(url_of_target), SECRET)
    finally:
        client.close()


@pytest.mark.parametrize("proxy_tls", [False, True])
def test_plain_target_gets_its_request_through_a_tunnel(tls: tuple[ssl.SSLContext, str], proxy_tls: bool) -> None:
    with Server(ok()) as target, Server(tunnels(port_of(target)), tls=tls[0] if proxy_tls else None) as proxy:
        assert through(proxy, target, tls[1]).body == b"fine"
    assert proxy.requests[0].startswith(b"CONNECT 127.0.0.1:")
    assert b"proxy-authorization: basic am9lonbac3m=" in proxy.requests[0].lower()
    assert b"s3cr3t" not in proxy.requests[0]
    assert b"proxy-" not in target.requests[0].lower()


def test_tls_target_is_verified_behind_the_proxy(tls: tuple[ssl.SSLContext, str]) -> None:
    with Server(ok(), tls=tls[0]) as target, Server(*[tunnels(port_of(target))] * 2) as proxy:
        assert through(proxy, target, tls[1]).body == b"fine"
        untrusted = through(proxy, target)
    assert (untrusted.failure, untrusted.at_proxy, len(target.requests)) == ("unreachable", False, 1)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (says(b"HTTP/1.1 407 No\r\n\r\n", go_on=False), "answered 407 to CONNECT"),
        (says(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n"), "answered 302 to CONNECT"),
        (says(b"", go_on=False), "connection closed without an answer (RemoteDisconnected)"),
        (resets(), "connection reset (ConnectionResetError)"),
    ],
)
def test_proxy_without_a_tunnel_is_named(step: Step, words: str) -> None:
    with Server(step) as proxy:
        answer = through(proxy, "https://records.invalid/")
        assert answer.detail == f"proxy: 127.0.0.1:{port_of(proxy)}: {words}"
    assert (answer.failure, answer.at_proxy) == ("unreachable", True)
    assert b"s3cr3t" not in proxy.requests[0]


def test_tunnel_lost_after_the_first_byte_is_not_the_proxys_fault(tls: tuple[ssl.SSLContext, str]) -> None:
    with Server(resets(), tls=tls[0]) as target, Server(tunnels(port_of(target))) as proxy:
        answer = through(proxy, target, tls[1])
    assert (answer.failure, answer.at_proxy, len(target.requests)) == ("lost_answer", False, 1)


def test_client_of_a_region_has_its_settings(tls: tuple[ssl.SSLContext, str], tmp_path: Path) -> None:
    with Server(*[ok()] * 4, tls=tls[0]) as target, Server(tunnels(port_of(target))) as proxy:
        settings = Settings.given(proxy_url_us=proxy.url.removesuffix("/path"), ca_file=tls[1], client_cert=tls[1])
        for region in (Region.EU, Region.US):
            client = HttpClient.of(settings, region, 1)
            assert [client.exchange(put(target.url), SECRET).body for _ in range(2)] == [b"fine"] * 2
            client.close()
    assert len(proxy.requests) == 1
