"""Commands on a machine with systemd units use the settings of these units, and say so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gaugepost.errors import SettingsError
from gaugepost.settings import Settings
from gaugepost_ops.cli import host_settings
from gaugepost_ops.cli.common import operator_settings

URL = "redis://:secret@redis.example:6379/0"


@pytest.fixture
def host_file(bare_environment: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a settings file as the units have; restore the environment after the test."""
    monkeypatch.setattr(os, "environ", os.environ.copy())
    path = bare_environment / "etc" / "gaugepost.env"
    path.parent.mkdir()
    path.write_text(f"# of the units\nGAUGEPOST_REDIS_URL={URL}\nGAUGEPOST_REGIONS='eu'\nOTHER=1\n")
    path.chmod(0o600)
    monkeypatch.setattr(host_settings, "HOST_FILE", path)
    return path


def url_of(settings: Settings) -> str:
    assert settings.redis_url is not None
    return settings.redis_url.get_secret_value()


def test_command_uses_the_settings_of_the_units_and_says_so(host_file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    settings = operator_settings()
    assert (url_of(settings), settings.regions) == (URL, ("eu",))
    assert capfd.readouterr().err == f"using the settings of {host_file}\n"
    assert "OTHER" not in os.environ


@pytest.mark.usefixtures("host_file")
def test_own_settings_win_over_those_of_the_units(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GAUGEPOST_REGIONS", "us,au")
    assert operator_settings().regions == ("us", "au")
    Path(".env").write_text("GAUGEPOST_REDIS_URL=redis://own:6379/0\n")
    monkeypatch.delenv("GAUGEPOST_REDIS_URL", raising=False)
    capfd.readouterr()
    assert url_of(operator_settings()) == "redis://own:6379/0"
    assert capfd.readouterr().err == ""


def test_settings_that_others_may_write_are_refused(host_file: Path) -> None:
    host_file.chmod(0o622)
    with pytest.raises(SettingsError, match="other users may write to it"):
        operator_settings()


def test_settings_that_this_user_may_not_read_are_named(host_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError

    monkeypatch.setattr(host_settings, "dotenv_values", refuse)  # root may read every file
    with pytest.raises(SettingsError, match=f"this user may not read {host_file}"):
        operator_settings()


@pytest.mark.usefixtures("bare_environment")
def test_without_such_a_file_the_missing_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_settings, "HOST_FILE", Path("none.env"))
    with pytest.raises(SettingsError, match="GAUGEPOST_REDIS_URL is not set"):
        operator_settings()
