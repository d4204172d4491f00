"""Check sentinel URLs: what they mean to redis-py and kombu, and that an error shows no secret."""

from __future__ import annotations

import pytest

from gaugepost import Settings
from gaugepost.connection import connect
from gaugepost.errors import SettingsError
from gaugepost.regions import Region
from gaugepost.sentinel import SentinelUrl

FULL = (
    "sentinels://user:p%40ss%2Fw%3Ard@a.example,[::1]:5000/my%20master/3?sentinel_password=s3cret&ssl_ca_certs=/ca.pem"
)


def test_full_url_is_parsed() -> None:
    url = SentinelUrl.parse(FULL)
    assert (url.hosts, url.master, url.db, url.tls) == ((("a.example", 26379), ("::1", 5000)), "my master", 3, True)
    assert url.login == {"username": "user", "password": "p@ss/w:rd"}
    assert url.ssl() == {"ssl_cert_reqs": "required", "ssl_ca_certs": "/ca.pem"}
    assert url.sentinel_options() == {"password": "s3cret", "ssl": True, **url.ssl()}
    assert "s3cret" not in repr(url)
    assert "p@ss" not in repr(url)


@pytest.mark.parametrize(
    ("hosts", "found"),
    [
        ("[::1]", [("::1", 26379)]),
        ("[::1]:5000", [("::1", 5000)]),
        ("[fe80::1%eth0]", [("fe80::1%eth0", 26379)]),
        ("[2001:db8::1],[2001:db8::2]:5000", [("2001:db8::1", 26379), ("2001:db8::2", 5000)]),
        ("a,[::1]:5000,b:1", [("a", 26379), ("::1", 5000), ("b", 1)]),
    ],
)
@pytest.mark.parametrize("login", ["", "user:p%40ss@", ":p[ss@"])
def test_hosts_may_be_ipv6_addresses_among_others(login: str, hosts: str, found: list[tuple[str, int]]) -> None:
    assert SentinelUrl.parse(f"sentinel://{login}{hosts}/mymaster").hosts == tuple(found)


def test_a_short_url_has_no_login_and_no_tls() -> None:
    url = SentinelUrl.parse("sentinel://a/mymaster")
    assert (url.hosts, url.master, url.db) == ((("a", 26379),), "mymaster", 0)
    assert (url.login, url.ssl(), url.sentinel_options()) == ({}, {}, {})
    assert url.kombu_url() == "sentinel://a:26379/0"


def test_kombu_gets_a_whole_url_for_each_sentinel() -> None:
    login = "user:p%40ss%2Fw%3Ard"
    assert (
        SentinelUrl.parse(FULL).kombu_url() == f"sentinel://{login}@a.example:26379/3;sentinel://{login}@[::1]:5000/3"
    )


@pytest.mark.parametrize(
    "rest",
    [
        "a:26379",
        "a:26379/",
        "/mymaster",
        "a,,b/mymaster",
        "a:port/mymaster",
        "a:99999/mymaster",
        "a:0/mymaster",
        "a/mymaster/zero",
        "a/mymaster/-1",
        "a/mymaster/0/1",
        "::1/mymaster",
        "[::1/mymaster",
        "[::1]x/mymaster",
        "a/mymaster?ssl_cert_reqs=none",
        "a/mymaster?sentinel_password",
        "a/mymaster#fragment",
        "pass/word@a/mymaster",
    ],
)
def test_a_wrong_one_is_refused_by_its_setting_and_shows_no_password(rest: str) -> None:
    settings = Settings(redis_url=f"sentinel://:hunter2@{rest}")
    with pytest.raises(SettingsError, match=r"^GAUGEPOST_REDIS_URL: expected a URL such as sentinel://") as refused:
        connect(settings, Region.EU)
    assert "hunter2" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_each_region_may_have_a_master_of_its_own() -> None:
    settings = Settings(redis_url="sentinel://{region}.example/gaugepost-{region}")
    pool = connect(settings, Region.AU).connection_pool
    assert pool.service_name == "gaugepost-au"
    assert "au.example" in repr(pool.sentinel_manager)
