"""Where settings come from: the environment, `.env`, secret files; and which names are refused."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from gaugepost.errors import SettingsError
from gaugepost.regions import Region
from gaugepost.settings import Settings, exposed_dotenv, setting_names

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("bare_environment")
SECRET = "hunter2-not-for-logs"


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("GAUGEPOST_REDIS_ULR", "GAUGEPOST_REDIS_URL"),
        ("GAUGEPOST_EU_APIKEY", "GAUGEPOST_EU_API_KEY"),
        ("GAUGEPOST_UPLOAD_INTERVALL", "GAUGEPOST_UPLOAD_INTERVAL"),
        ("GAUGEPOST_LEASE_FILE", "GAUGEPOST_LEASE"),
    ],
)
def test_an_unknown_name_is_refused_with_the_near_one(monkeypatch: pytest.MonkeyPatch, name: str, near: str) -> None:
    monkeypatch.setenv(name, SECRET)
    with pytest.raises(SettingsError) as refused:
        Settings.load()
    assert str(refused.value) == f"{name}: unknown setting; did you mean {near}?"


def test_an_unknown_name_in_dotenv_is_refused_too(bare_environment: Path) -> None:
    (bare_environment / ".env").write_text("GAUGEPOST_REDIS_ULR=redis://x\nOTHER=1\n")
    with pytest.raises(SettingsError, match="GAUGEPOST_REDIS_ULR"):
        Settings.load()


def test_dotenv_is_read_and_the_environment_wins(bare_environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (bare_environment / ".env").write_text("GAUGEPOST_REGIONS=us\nGAUGEPOST_BACKLOG_LIMIT=5\n")
    monkeypatch.setenv("GAUGEPOST_BACKLOG_LIMIT", "6")
    found = Settings.load()
    assert (found.regions, found.backlog_limit) == ((Region.US,), 6)


def test_arguments_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAUGEPOST_BACKLOG_LIMIT", "6")
    assert Settings.load(backlog_limit=7).backlog_limit == 7


@pytest.mark.parametrize("name", ["EU_CLIENT_SECRET", "AU_API_KEY", "US_CLIENT_ID", "REDIS_URL"])
def test_a_secret_may_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text(SECRET + "\n")
    monkeypatch.setenv(f"GAUGEPOST_{name}_FILE", str(tmp_path / "secret"))
    assert getattr(Settings.load(), name.lower()).get_secret_value() == SECRET


def test_a_secret_is_not_given_twice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GAUGEPOST_EU_API_KEY", SECRET)
    monkeypatch.setenv("GAUGEPOST_EU_API_KEY_FILE", str(tmp_path / "secret"))
    with pytest.raises(SettingsError) as refused:
        Settings.load()
    assert str(refused.value) == "GAUGEPOST_EU_API_KEY: set it or GAUGEPOST_EU_API_KEY_FILE, not both"


@pytest.mark.parametrize("content", [None, b"\xff\xfe"], ids=["missing", "not text"])
def test_a_file_that_cannot_be_read_is_named_by_its_setting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None
) -> None:
    if content:
        (tmp_path / "secret").write_bytes(content)
    monkeypatch.setenv("GAUGEPOST_EU_API_KEY_FILE", str(tmp_path / "secret"))
    with pytest.raises(SettingsError, match="GAUGEPOST_EU_API_KEY_FILE: cannot be read"):
        Settings.load()


def test_every_secret_and_nothing_else_may_come_from_a_file() -> None:
    with_file = {name for name in setting_names() if name.endswith("_FILE")} - {"GAUGEPOST_CA_FILE"}
    credentials = {
        f"{region}_{name}" for region in ("EU", "US", "AU") for name in ("CLIENT_ID", "CLIENT_SECRET", "API_KEY")
    }
    others = {"REDIS_URL", "DATA_KEY", "FLOWER_BASIC_AUTH", "FLOWER_OIDC_CLIENT_SECRET", "CONSOLE_OIDC_CLIENT_SECRET"}
    proxies = {"PROXY_URL", "PROXY_URL_EU", "PROXY_URL_US", "PROXY_URL_AU"}
    assert with_file == {f"GAUGEPOST_{name}_FILE" for name in credentials | others | proxies}


def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAUGEPOST_EU_CLIENT_SECRET", SECRET)
    monkeypatch.setenv("GAUGEPOST_EU_API_KEY", SECRET)
    monkeypatch.setenv("GAUGEPOST_REDIS_URL", f"redis://:{SECRET}@127.0.0.1/0")
    found = Settings.load()
    for shown in (repr(found), str(found), repr(found.credentials(Region.EU)), found.model_dump_json()):
        assert SECRET not in shown


def test_no_refusal_shows_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAUGEPOST_EU_CLIENT_SECRET", SECRET)
    monkeypatch.setenv("GAUGEPOST_LEASE", SECRET)
    monkeypatch.setenv("GAUGEPOST_AUTH_URL", f"http://user:{SECRET}@example.com")
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
def test_secrets_in_a_dotenv_that_every_user_may_read_are_noticed(
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
