"""Which addresses a webhook may go to, and that the checked address is the connected one."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path
from typing import Any

import pytest

from gaugepost.addresses import is_public
from gaugepost_tasks.http import HttpClient
from gaugepost_tasks.http.exchange import Origin
from gaugepost_tasks.http.network_guard import AddressRefused, NetworkGuard
from gaugepost_tasks.http_messages import Answer, Request
from support.faulty_server import Server, authority, ok, says

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))
REFUSED = [
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "169.254.170.2",
    "100.64.0.1", "100.100.100.200", "192.0.0.192", "168.63.129.16", "224.0.0.1", "239.255.255.250", "255.255.255.255",
    "240.0.0.1", "192.0.2.1", "198.18.0.1", "::", "::1", "fe80::1", "fe80::1%2", "fc00::1", "fd00:ec2::254", "fec0::1",
    "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::127.0.0.1",
    "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "2001:0:1::1", "2001:db8::1",
    "64:ff9b:1:a9fe:a9:fe08:808:808", "::ffff:0:127.0.0.1", "2a00:1450::5efe:a00:1", "2a00:1450::200:5efe:7f00:1",
    "3fff::1", "5f00::1",
]  # fmt: skip
PUBLIC = ["93.184.216.34", "8.8.8.8", "2606:2800:220:1:248:1893:25c8:1946", "64:ff9b::8.8.8.8"]


class Names:
    """A name server that gives the next answer at each question."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    def __call__(self, _host: str, port: int, **_: object) -> list[Any]:
        found = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        rows = []
        for text in found:
            family = socket.AF_INET6 if ":" in text else socket.AF_INET
            rows.append((family, socket.SOCK_STREAM, 6, "", (text, port)))
        return rows


def post(guard: NetworkGuard, url: str, **more: Any) -> Answer:
    client = HttpClient(2, 2, 1, guard=guard, **more)
    try:
        return client.exchange(Request("POST", url, {}, b"{}", "none"), "")
    finally:
        client.close()


@pytest.mark.parametrize("address", REFUSED)
def test_address_that_is_not_public_is_refused_before_anything_is_sent(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address.partition("%")[0]))
    guard = NetworkGuard(resolve=Names([address]))
    with pytest.raises(AddressRefused):
        guard.open(Origin("https", "name.example", 443), 1.0)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_address_passes_over_https_only(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))
    guard = NetworkGuard()
    guard.check_name(Origin("https", address, 443))
    with pytest.raises(AddressRefused, match="http://"):
        guard.check_name(Origin("http", address, 80))


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "a.localhost", "127.1", "2130706433", "0x7f.1", "[::1]"])
def test_spellings_of_loopback_are_refused_behind_a_proxy_too(host: str) -> None:
    with pytest.raises(AddressRefused):
        NetworkGuard().check_name(Origin("https", host.strip("[]"), 443))


def test_one_refused_address_refuses_the_name() -> None:
    guard = NetworkGuard(resolve=Names(["93.184.216.34", "10.0.0.1"]))
    with pytest.raises(AddressRefused):
        guard.open(Origin("https", "name.example", 443), 1.0)


def test_allowed_network_may_be_called_over_http() -> None:
    with Server(ok()) as server:
        refused, allowed = (post(NetworkGuard(networks), server.url) for networks in ((), LOOPBACK))
    assert (refused.failure, refused.detail) == ("unreachable", "the address is not allowed (AddressRefused)")
    assert (allowed.status, len(server.requests)) == (200, 1)


def test_mapped_address_counts_as_its_ipv4_network() -> None:
    NetworkGuard(LOOPBACK).check_name(Origin("http", "::ffff:127.0.0.1", 80))


def test_allowed_network_admits_no_other_address_of_a_translator() -> None:
    """In 64:ff9b:1::/48 the IPv4 address may be elsewhere than in the last 32 bits: here it is 169.254.169.254."""
    guard = NetworkGuard([ipaddress.ip_network("10.0.0.0/8")])
    with pytest.raises(AddressRefused):
        guard.check_name(Origin("https", "64:ff9b:1:a9fe:a9:fe00:a00:1", 443))


def test_name_that_changes_between_check_and_connect_changes_nothing() -> None:
    """The name server first gives a permitted address and then another one: only the first is connected."""
    with Server(ok()) as first, Server(ok()) as second:
        port = first.url.split(":")[2].split("/")[0]
        names = Names(["127.0.0.1"], ["127.0.0.2"])
        guard = NetworkGuard([ipaddress.ip_network("127.0.0.1/32")], resolve=names)
        assert post(guard, f"http://rebound.example:{port}/").status == 200
        assert (names.asked, len(first.requests), len(second.requests)) == (1, 1, 0)
        assert post(guard, f"http://rebound.example:{port}/").detail == "the address is not allowed (AddressRefused)"
        assert (names.asked, len(first.requests)) == (2, 1)


def test_next_address_of_a_name_is_tried_if_one_cannot_be_reached() -> None:
    with Server(ok()) as server:
        port = server.url.split(":")[2].split("/")[0]
        guard = NetworkGuard(LOOPBACK, resolve=Names(["127.0.0.2", "127.0.0.1"]))
        assert post(guard, f"http://receiver.example:{port}/").status == 200
    with pytest.raises(ConnectionRefusedError):
        guard.open(Origin("http", "receiver.example", int(port)), 1.0)


def test_name_without_an_address_is_an_error() -> None:
    with pytest.raises(OSError, match="no address"):
        NetworkGuard(resolve=Names([])).open(Origin("https", "name.example", 443), 1.0)


def test_certificate_must_be_of_the_name_although_the_address_is_connected(tmp_path: Path) -> None:
    tls, ca_file = authority(tmp_path, "receiver.example")
    with Server(ok(), ok(), tls=tls) as server:
        port = server.url.split(":")[2].split("/")[0]
        guard = NetworkGuard(LOOPBACK, resolve=Names(["127.0.0.1"]))
        right, wrong = (
            post(guard, f"https://{name}.example:{port}/", ca_file=ca_file) for name in ("receiver", "other")
        )
    assert right.status == 200
    assert wrong.detail == "certificate not trusted (SSLCertVerificationError)"
    assert server.requests[0].startswith(b"POST / HTTP/1.1\r\nHost: receiver.example:")


def test_redirect_to_a_private_address_is_not_followed() -> None:
    there = says(b"HTTP/1.1 307 Away\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n")
    with Server(there) as server:
        assert post(NetworkGuard(LOOPBACK), server.url).status == 307
    assert server.connections == 1


def test_behind_a_proxy_addresses_in_the_url_are_still_refused() -> None:
    NetworkGuard().check_name(Origin("https", "name.example", 443))  # the proxy decides where it leads
    with Server(ok()) as proxy:
        for url in ("https://169.254.169.254/", "https://localhost/", "http://name.example/"):
            answer = post(NetworkGuard(), url, proxy_url=proxy.url.removesuffix("/path"))
            assert answer.detail == "the address is not allowed (AddressRefused)"
    assert proxy.connections == 0
