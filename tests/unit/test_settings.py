from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from gaugepost.errors import SettingsError
from gaugepost.regions import Region
from gaugepost.settings import Settings, exposed_dotenv, setting_names
from gaugepost.verdict import Verdict
from gaugepost_workers import heartbeat

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("bare_environment")
SECRET = "hunter2-not-for-logs"


@pytest.fixture
def env(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Set variables for one test."""
    return monkeypatch


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
    ("name", "near"),
    [
        ("GAUGEPOST_REDIS_ULR", "GAUGEPOST_REDIS_URL"),
        ("GAUGEPOST_EU_APIKEY", "GAUGEPOST_EU_API_KEY"),
        ("GAUGEPOST_UPLOAD_INTERVALL", "GAUGEPOST_UPLOAD_INTERVAL"),
        ("GAUGEPOST_LEASE_FILE", "GAUGEPOST_LEASE"),
    ],
)
def test_an_unknown_name_is_refused_with_the_near_one(env: pytest.MonkeyPatch, name: str, near: str) -> None:
    env.setenv(name, SECRET)
    with pytest.raises(SettingsError) as refused:
        Settings.load()
    assert str(refused.value) == f"{name}: unknown setting; did you mean {near}?"


def test_an_unknown_name_in_dotenv_is_refused_too(bare_environment: Path) -> None:
    (bare_environment / ".env").write_text("GAUGEPOST_REDIS_ULR=redis://x\nOTHER=1\n")
    with pytest.raises(SettingsError, match="GAUGEPOST_REDIS_ULR"):
        Settings.load()


def test_dotenv_is_read_and_the_environment_wins(bare_environment: Path, env: pytest.MonkeyPatch) -> None:
    (bare_environment / ".env").write_text("GAUGEPOST_REGIONS=us\nGAUGEPOST_BACKLOG_LIMIT=5\n")
    env.setenv("GAUGEPOST_BACKLOG_LIMIT", "6")
    found = Settings.load()
    assert (found.regions, found.backlog_limit) == ((Region.US,), 6)


def test_arguments_win_over_the_environment(env: pytest.MonkeyPatch) -> None:
    env.setenv("GAUGEPOST_BACKLOG_LIMIT", "6")
    assert Settings.load(backlog_limit=7).backlog_limit == 7


@pytest.mark.parametrize("name", ["EU_CLIENT_SECRET", "AU_API_KEY", "US_CLIENT_ID", "REDIS_URL"])
def test_a_secret_may_come_from_a_file(env: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text(SECRET + "\n")
    env.setenv(f"GAUGEPOST_{name}_FILE", str(tmp_path / "secret"))
    assert getattr(Settings.load(), name.lower()).get_secret_value() == SECRET


def test_a_secret_is_not_given_twice(env: pytest.MonkeyPatch, tmp_path: Path) -> None:
    env.setenv("GAUGEPOST_EU_API_KEY", SECRET)
    env.setenv("GAUGEPOST_EU_API_KEY_FILE", str(tmp_path / "secret"))
    with pytest.raises(SettingsError) as refused:
        Settings.load()
    assert str(refused.value) == "GAUGEPOST_EU_API_KEY: set it or GAUGEPOST_EU_API_KEY_FILE, not both"


@pytest.mark.parametrize("content", [None, b"\xff\xfe"], ids=["missing", "not text"])
def test_a_file_that_cannot_be_read_is_named_by_its_setting(
    env: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None
) -> None:
    if content:
        (tmp_path / "secret").write_bytes(content)
    env.setenv("GAUGEPOST_EU_API_KEY_FILE", str(tmp_path / "secret"))
    with pytest.raises(SettingsError, match="GAUGEPOST_EU_API_KEY_FILE: cannot be read"):
        Settings.load()


def test_every_secret_and_nothing_else_may_come_from_a_file() -> None:
    with_file = {name for name in setting_names() if name.endswith("_FILE")} - {"GAUGEPOST_CA_FILE"}
    credentials = {
        f"{region}_{name}" for region in ("EU", "US", "AU") for name in ("CLIENT_ID", "CLIENT_SECRET", "API_KEY")
    }
    others = {"REDIS_URL", "DATA_KEY", "FLOWER_BASIC_AUTH", "FLOWER_OIDC_CLIENT_SECRET"}
    proxies = {"PROXY_URL", "PROXY_URL_EU", "PROXY_URL_US", "PROXY_URL_AU"}
    assert with_file == {f"GAUGEPOST_{name}_FILE" for name in credentials | others | proxies}


@pytest.mark.parametrize(
    "url",
    ["https://api.eu.customergauge.com", "https://API.{region}.CustomerGauge.com./v4", "https://customergauge.com"],
)
def test_files_are_not_sent_faster_while_the_host_is_customergauges_own(env: pytest.MonkeyPatch, url: str) -> None:
    env.setenv("GAUGEPOST_API_URL", url)
    env.setenv("GAUGEPOST_UPLOAD_INTERVAL", "599.9")
    with pytest.raises(SettingsError, match="GAUGEPOST_UPLOAD_INTERVAL: expected at least 600 s"):
        Settings.load()


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9000/api/{region}", "https://api.example.com", "https://customergauge.com.example.net"]
)
def test_files_may_be_sent_faster_to_another_host(env: pytest.MonkeyPatch, url: str) -> None:
    env.setenv("GAUGEPOST_API_URL", url)
    env.setenv("GAUGEPOST_UPLOAD_INTERVAL", "2s")
    assert Settings.load().upload_interval == 2


def test_a_lease_must_outlast_the_longest_exchange(env: pytest.MonkeyPatch) -> None:
    env.setenv("GAUGEPOST_LEASE", "35.9")
    with pytest.raises(SettingsError, match="GAUGEPOST_LEASE: expected at least connect_timeout"):
        Settings.load()
    env.setenv("GAUGEPOST_LEASE", "36")
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
def test_a_url_is_https_unless_it_is_this_machine(env: pytest.MonkeyPatch, name: str, url: str) -> None:
    env.setenv(f"GAUGEPOST_{name}", url)
    with pytest.raises(SettingsError, match=f"GAUGEPOST_{name}: expected"):
        Settings.load()


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9000/api/{region}", "http://localhost:1", "http://[::1]:1", "https://x.example.com/"]
)
def test_http_goes_to_this_machine_itself(env: pytest.MonkeyPatch, url: str) -> None:
    env.setenv("GAUGEPOST_AUTH_URL", url)
    assert Settings.load().auth_url == url.rstrip("/")


def test_a_schedule_of_one_verdict_can_be_set(env: pytest.MonkeyPatch) -> None:
    env.setenv("GAUGEPOST_BACKOFF__NO_CAMPAIGN", "5m,30m,2h,12h")
    env.setenv("GAUGEPOST_BACKOFF__UNRECOGNISED_422", "1m")
    found = Settings.load().backoff
    assert found == {Verdict.NO_CAMPAIGN: (300, 1800, 7200, 43_200), Verdict.UNRECOGNISED_422: (60,)}


def test_a_schedule_may_be_one_bare_number_of_seconds(env: pytest.MonkeyPatch) -> None:
    env.setenv("GAUGEPOST_BACKOFF__NO_CAMPAIGN", "300")
    assert Settings.load().backoff == {Verdict.NO_CAMPAIGN: (300,)}


@pytest.mark.parametrize(("name", "text"), [("NO_CAMPAIN", "5m"), ("NO_CAMPAIGN", "soon"), ("NO_CAMPAIGN", "")])
def test_a_schedule_that_is_none_is_refused_by_its_name(env: pytest.MonkeyPatch, name: str, text: str) -> None:
    env.setenv(f"GAUGEPOST_BACKOFF__{name}", text)
    with pytest.raises(SettingsError, match="GAUGEPOST_BACKOFF"):
        Settings.load()


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [("RETENTION_DELIVERED", "12h", 43_200), ("RETENTION_DEAD", "1d", 86_400), ("READ_TIMEOUT", "45", 45)],
)
def test_durations_are_read_as_people_write_them(
    env: pytest.MonkeyPatch, name: str, text: str, expected: float
) -> None:
    env.setenv(f"GAUGEPOST_{name}", text)
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
def test_a_wrong_value_is_refused_by_its_settings_name(env: pytest.MonkeyPatch, name: str, text: str) -> None:
    env.setenv(f"GAUGEPOST_{name}", text)
    with pytest.raises(SettingsError, match=f"GAUGEPOST_{name}"):
        Settings.load()


def test_regions_are_read_with_or_without_spaces(env: pytest.MonkeyPatch) -> None:
    env.setenv("GAUGEPOST_REGIONS", "us, au")
    assert Settings.load().regions == (Region.US, Region.AU)


def test_credentials_are_those_of_their_region(env: pytest.MonkeyPatch) -> None:
    env.setenv("GAUGEPOST_US_CLIENT_ID", "id")
    env.setenv("GAUGEPOST_US_API_KEY", SECRET)
    us, eu = Settings.load().credentials(Region.US), Settings.load().credentials(Region.EU)
    assert us.client_id is not None
    assert us.client_id.get_secret_value() == "id"
    assert us.client_secret is None
    assert (eu.client_id, eu.client_secret, eu.api_key) == (None, None, None)


def test_no_secret_is_shown(env: pytest.MonkeyPatch) -> None:
    env.setenv("GAUGEPOST_EU_CLIENT_SECRET", SECRET)
    env.setenv("GAUGEPOST_EU_API_KEY", SECRET)
    env.setenv("GAUGEPOST_REDIS_URL", f"redis://:{SECRET}@127.0.0.1/0")
    found = Settings.load()
    for shown in (repr(found), str(found), repr(found.credentials(Region.EU)), found.model_dump_json()):
        assert SECRET not in shown


def test_no_refusal_shows_a_secret(env: pytest.MonkeyPatch) -> None:
    env.setenv("GAUGEPOST_EU_CLIENT_SECRET", SECRET)
    env.setenv("GAUGEPOST_LEASE", SECRET)
    env.setenv("GAUGEPOST_AUTH_URL", f"http://user:{SECRET}@example.com")
    with pytest.raises(SettingsError) as refused:
        Settings.load()
    assert SECRET not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize(
    ("mode", "text", "warning"),
    [
        (0o644, f"GAUGEPOST_EU_API_KEY={SECRET}\n", "644"),
        (0o604, f"export gaugepost_redis_url=redis://:{SECRET}@h\n", "604"),
        (0o640, f"GAUGEPOST_EU_API_KEY={SECRET}\n", None),
        (0o600, f"GAUGEPOST_EU_API_KEY={SECRET}\n", None),
        (0o644, "GAUGEPOST_EU_API_KEY=\nGAUGEPOST_REGIONS=eu\n", None),
    ],
)
def test_secrets_in_a_dotenv_that_everybody_may_read_are_noticed(
    bare_environment: Path, mode: int, text: str, warning: str | None
) -> None:
    assert exposed_dotenv() is None
    (bare_environment / ".env").write_text(text)
    (bare_environment / ".env").chmod(mode)
    assert exposed_dotenv() == warning


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_dotenv_of_another_user_does_not_say_where_credentials_go(bare_environment: Path) -> None:
    (bare_environment / ".env").write_text("GAUGEPOST_AUTH_URL=https://auth.example.net\n")
    assert Settings.load().auth_url == "https://auth.example.net"
    os.chown(bare_environment / ".env", 65_534, 65_534)
    with pytest.raises(SettingsError, match=r"^\.env: belongs to another user"):
        Settings.load()


@pytest.mark.parametrize("port", ["0", "65536", "http"])
def test_metrics_port_must_be_a_port_and_is_off_by_default(env: pytest.MonkeyPatch, port: str) -> None:
    assert (Settings.load().metrics_port, Settings.load().metrics_address) == (None, "127.0.0.1")
    env.setenv("GAUGEPOST_METRICS_PORT", "9464")
    assert Settings.load().metrics_port == 9464
    env.setenv("GAUGEPOST_METRICS_PORT", port)
    with pytest.raises(SettingsError, match="GAUGEPOST_METRICS_PORT: "):
        Settings.load()


def test_logs_have_a_level_and_a_format(env: pytest.MonkeyPatch) -> None:
    assert (Settings.load().log_level, Settings.load().log_format) == ("info", "auto")
    env.setenv("GAUGEPOST_LOG_LEVEL", "warning")
    env.setenv("GAUGEPOST_LOG_FORMAT", "json")
    assert (Settings.load().log_level, Settings.load().log_format) == ("warning", "json")


@pytest.mark.parametrize(("name", "value"), [("LOG_LEVEL", "loud"), ("LOG_FORMAT", "xml")])
def test_unknown_level_or_format_is_refused_with_the_valid_ones(env: pytest.MonkeyPatch, name: str, value: str) -> None:
    env.setenv(f"GAUGEPOST_{name}", value)
    with pytest.raises(SettingsError, match=f"GAUGEPOST_{name}: expected '"):
        Settings.load()


def test_heartbeats_are_in_run_dir(env: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert heartbeat.folder(Settings.load()).name == f"gaugepost-{os.geteuid()}"
    env.setenv("GAUGEPOST_RUN_DIR", str(tmp_path / "run"))
    assert heartbeat.folder(Settings.load()) == tmp_path / "run"
