"""Check the settings of requests to CustomerGauge: proxy, authorities, certificate, adapter."""

from __future__ import annotations

from pathlib import Path

import pytest

from gaugepost import Region, Settings
from gaugepost.errors import SettingsError


@pytest.mark.parametrize(
    "url",
    [
        "http://proxy:3128", "https://proxy.example:443/", "http://127.0.0.1", "http://[::1]:3128",
        "http://joe:secret@proxy:3128", "http://joe:@proxy", "http://joe:p%40ss%2Fw%C3%B6rd@proxy:3128",
    ],
)  # fmt: skip
def test_proxy_url_is_taken_and_never_shown(url: str) -> None:
    settings = Settings.given(proxy_url=url)
    proxy = settings.proxy(Region.EU)
    assert proxy is not None
    assert proxy.get_secret_value() == url
    assert url not in repr(settings)


@pytest.mark.parametrize(
    "url",
    [
        "", "proxy:3128", "socks5://proxy:1080", "http://", "http://joe@proxy", "http://joe:s3cr3t@", "http://proxy:x",
        "http://joe:s3cr3t/x@proxy", "http://joe:s3c@r3t@proxy", "http://proxy:70000", "http://proxy/path",
        "http://joe:s3cr3t%E2%98%83@proxy", "http://joe:s3cr3t☃@proxy", "http://proxy:3128\nX: y",
        "http://joe:s 3@proxy",
    ],
)  # fmt: skip
def test_bad_proxy_url_is_refused_by_name_and_not_quoted(url: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.given(proxy_url_eu=url)
    assert str(refused.value).startswith("GAUGEPOST_PROXY_URL_EU: expected http")
    assert "s3c" not in str(refused.value)


def test_region_has_its_own_proxy_or_that_of_all() -> None:
    settings = Settings.given(proxy_url="http://all:1", proxy_url_us="http://us:2")
    found = {region: settings.proxy(region) for region in Region}
    assert {region: proxy and proxy.get_secret_value() for region, proxy in found.items()} == {
        "eu": "http://all:1",
        "us": "http://us:2",
        "au": "http://all:1",
    }
    assert Settings.given().proxy(Region.EU) is None


def test_proxy_url_comes_from_a_file_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "proxy").write_text("http://joe:secret@proxy:3128\n")
    monkeypatch.setenv("GAUGEPOST_PROXY_URL_AU_FILE", str(tmp_path / "proxy"))
    proxy = Settings.load().proxy(Region.AU)
    assert proxy is not None
    assert proxy.get_secret_value() == "http://joe:secret@proxy:3128"


def test_key_without_its_certificate_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"^GAUGEPOST_CLIENT_KEY: needs GAUGEPOST_CLIENT_CERT$"):
        Settings.given(client_key="key.pem")


def test_unknown_adapter_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"^GAUGEPOST_HTTP_ADAPTER: expected 'direct' or 'urllib3'$"):
        Settings.given(http_adapter="curl")
