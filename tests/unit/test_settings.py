from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from gaugepost.errors import SettingsError
from gaugepost.regions import Region
from gaugepost.settings import Settings
from gaugepost.verdict import Verdict
from gaugepost_workers import heartbeat

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("bare_environment")
SECRET = "hunter2-not-for-logs"


def test_the_defaults_are_those_of_the_interface() -> None:
    found = Settings.load()
    assert found.redis_url is None
    assert found.regions == (Region.EU, Region.US, Region.AU)
    assert found.auth_url == "https://auth.{region}.customergauge.com"
    assert found.imports_url == "https://imports.api.{region}.customergauge.com"
    assert found.api_url == "https://api.{region}.customergauge.com"
    assert (found.upload_interval, found.connect_timeout, found.read_timeout, found.lease) == (600, 5, 30, 90)
    assert (found.retention_delivered, found.retention_dead) == (7 * 86_400, 90 * 86_400)
    assert found.backlog_limit == 1_000_000
    assert found.backoff == {}


@pytest.mark.parametrize(
    "url",
    ["https://api.eu.customergauge.com", "https://API.{region}.CustomerGauge.com./v4", "https://customergauge.com"],
)
def test_files_are_not_sent_faster_to_customergauges_own_host(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("GAUGEPOST_API_URL", url)
    monkeypatch.setenv("GAUGEPOST_UPLOAD_INTERVAL", "599.9")
    with pytest.raises(SettingsError, match="GAUGEPOST_UPLOAD_INTERVAL: expected at least 600 s"):
        Settings.load()


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9000/api/{region}", "https://api.example.com", "https://customergauge.com.example.net"]
)
def test_files_may_be_sent_faster_to_another_host(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("GAUGEPOST_API_URL", url)
    monkeypatch.setenv("GAUGEPOST_UPLOAD_INTERVAL", "2s")
    assert Settings.load().upload_interval == 2


def test_a_lease_must_outlast_the_longest_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAUGEPOST_LEASE", "35.9")
    with pytest.raises(SettingsError, match="GAUGEPOST_LEASE: expected at least connect_timeout"):
        Settings.load()
    monkeypatch.setenv("GAUGEPOST_LEASE", "36")
    assert Settings.load().lease == 36


@pytest.mark.parametrize("name", ["AUTH_URL", "IMPORTS_URL", "API_URL"])
@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.com",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
        "http://10.0.0.1",
        "ftp://127.0.0.1",
        "api.example.com",
        "https://",
        "https://{zone}.example.com",
        "https://x.example.com?q=1",
        "https://x.example.com?",
        "https://x.example.com#/",
        "https://user:hunter2@x.example.com",
        "https://api.customergauge.com@x.example.com",
        "https://x.example.com\\@api.customergauge.com",
        "http://127.0.0.1\\@x.example.com",
        "http://127.1",
        "http://2130706433",
        "https://x.example.com/a b",
        "https://x.example.com/\r\nX-Forged: 1",
        "https://x.example.com:port",
        "https://\u0445.example.com",
    ],
)
def test_a_url_is_https_unless_it_is_this_machine(monkeypatch: pytest.MonkeyPatch, name: str, url: str) -> None:
    monkeypatch.setenv(f"GAUGEPOST_{name}", url)
    with pytest.raises(SettingsError, match=f"GAUGEPOST_{name}: expected"):
        Settings.load()


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9000/api/{region}", "http://localhost:1", "http://[::1]:1", "https://x.example.com/"]
)
def test_http_goes_to_this_machine_itself(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("GAUGEPOST_AUTH_URL", url)
    assert Settings.load().auth_url == url.rstrip("/")


def test_a_schedule_of_one_verdict_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAUGEPOST_BACKOFF__NO_CAMPAIGN", "5m,30m,2h,12h")
    monkeypatch.setenv("GAUGEPOST_BACKOFF__UNRECOGNISED_422", "1m")
    found = Settings.load().backoff
    assert found == {Verdict.NO_CAMPAIGN: (300, 1800, 7200, 43_200), Verdict.UNRECOGNISED_422: (60,)}


def test_a_schedule_may_be_one_bare_number_of_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAUGEPOST_BACKOFF__NO_CAMPAIGN", "300")
    assert Settings.load().backoff == {Verdict.NO_CAMPAIGN: (300,)}


@pytest.mark.parametrize(("name", "text"), [("NO_CAMPAIN", "5m"), ("NO_CAMPAIGN", "soon"), ("NO_CAMPAIGN", "")])
def test_a_schedule_that_is_none_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    monkeypatch.setenv(f"GAUGEPOST_BACKOFF__{name}", text)
    with pytest.raises(SettingsError, match="GAUGEPOST_BACKOFF"):
        Settings.load()


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [("RETENTION_DELIVERED", "12h", 43_200), ("RETENTION_DEAD", "1d", 86_400), ("READ_TIMEOUT", "45", 45)],
)
def test_durations_are_read_as_people_write_them(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, expected: float
) -> None:
    monkeypatch.setenv(f"GAUGEPOST_{name}", text)
    assert getattr(Settings.load(), name.lower()) == expected


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("LEASE", "soon"),
        ("CONNECT_TIMEOUT", "0"),
        ("READ_TIMEOUT", "-1"),
        ("BACKLOG_LIMIT", "0"),
        ("BACKLOG_LIMIT", "many"),
        ("REGIONS", "eu,mars"),
        ("REGIONS", ""),
        ("EU_CLIENT_ID", ""),
        ("AU_API_KEY", " "),
    ],
)
def test_a_wrong_value_is_refused_by_its_settings_name(monkeypatch: pytest.MonkeyPatch, name: str, text: str) -> None:
    monkeypatch.setenv(f"GAUGEPOST_{name}", text)
    with pytest.raises(SettingsError, match=f"GAUGEPOST_{name}"):
        Settings.load()


def test_regions_are_read_with_or_without_spaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAUGEPOST_REGIONS", "us, au")
    assert Settings.load().regions == (Region.US, Region.AU)


def test_credentials_are_those_of_their_region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAUGEPOST_US_CLIENT_ID", "id")
    monkeypatch.setenv("GAUGEPOST_US_API_KEY", SECRET)
    us, eu = Settings.load().credentials(Region.US), Settings.load().credentials(Region.EU)
    assert us.client_id is not None
    assert us.client_id.get_secret_value() == "id"
    assert us.client_secret is None
    assert (eu.client_id, eu.client_secret, eu.api_key) == (None, None, None)


@pytest.mark.parametrize("port", ["0", "65536", "http"])
def test_metrics_port_must_be_a_port_and_is_off_by_default(monkeypatch: pytest.MonkeyPatch, port: str) -> None:
    assert (Settings.load().metrics_port, Settings.load().metrics_address) == (None, "127.0.0.1")
    monkeypatch.setenv("GAUGEPOST_METRICS_PORT", "9464")
    assert Settings.load().metrics_port == 9464
    monkeypatch.setenv("GAUGEPOST_METRICS_PORT", port)
    with pytest.raises(SettingsError, match="GAUGEPOST_METRICS_PORT: "):
        Settings.load()


def test_logs_have_a_level_and_a_format(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (Settings.load().log_level, Settings.load().log_format) == ("info", "auto")
    monkeypatch.setenv("GAUGEPOST_LOG_LEVEL", "warning")
    monkeypatch.setenv("GAUGEPOST_LOG_FORMAT", "json")
    assert (Settings.load().log_level, Settings.load().log_format) == ("warning", "json")


@pytest.mark.parametrize(("name", "value"), [("LOG_LEVEL", "loud"), ("LOG_FORMAT", "xml")])
def test_unknown_log_level_or_format_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"GAUGEPOST_{name}", value)
    with pytest.raises(SettingsError, match=f"GAUGEPOST_{name}: expected '"):
        Settings.load()


def test_heartbeats_are_in_run_dir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert heartbeat.folder(Settings.load()).name == f"gaugepost-{os.geteuid()}"
    monkeypatch.setenv("GAUGEPOST_RUN_DIR", str(tmp_path / "run"))
    assert heartbeat.folder(Settings.load()) == tmp_path / "run"


@pytest.mark.parametrize("name", ["cx", "Surveys", "2nd", "a" * 33, "my.app"])
def test_wrong_namespace_is_refused_in_words(name: str) -> None:
    with pytest.raises(SettingsError) as refused:
        Settings.load(namespace=name)
    text = "GAUGEPOST_NAMESPACE: expected 3 to 32 lower-case letters, digits, - and _, a letter first"
    assert str(refused.value) == text
