"""Check the settings of Flower's login: half a login is refused, because it would admit no user or every user."""

from __future__ import annotations

import pytest

from gaugepost.errors import SettingsError
from gaugepost.settings import Settings
from gaugepost_ops.cli.processes.commands import parts
from gaugepost_ops.flower import is_loopback

pytestmark = pytest.mark.usefixtures("bare_environment")

OPENID = {
    "GAUGEPOST_FLOWER_OIDC_ISSUER": "https://login.example.com/realms/main/",
    "GAUGEPOST_FLOWER_OIDC_CLIENT_ID": "flower",
    "GAUGEPOST_FLOWER_OIDC_CLIENT_SECRET": "hunter2-not-for-logs",
    "GAUGEPOST_FLOWER_OIDC_USERS": ".*@example.com",
    "GAUGEPOST_FLOWER_URL": "https://flower.example.com",
}


def refused(monkeypatch: pytest.MonkeyPatch, **given: str) -> str:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as refusal:
        Settings.load()
    return str(refusal.value)


def test_by_default_no_login_is_required_and_events_are_on() -> None:
    found = Settings.load()
    assert (found.flower_basic_auth, found.flower_oidc_issuer, found.events) == (None, None, True)


def test_complete_login_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in OPENID.items():
        monkeypatch.setenv(name, value)
    found = Settings.load()
    assert found.flower_oidc_issuer == "https://login.example.com/realms/main"
    assert "hunter2" not in repr(found)


@pytest.mark.parametrize("missing", OPENID)
def test_half_a_login_is_refused_with_what_is_missing(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    given = {name: value for name, value in OPENID.items() if name != missing}
    assert refused(monkeypatch, **given).startswith(f"{missing}: needed with GAUGEPOST_FLOWER_OIDC_")


def test_two_logins_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "not both" in refused(monkeypatch, GAUGEPOST_FLOWER_BASIC_AUTH="amy:secret-7", **OPENID)


@pytest.mark.parametrize(
    "value", ["", "amy", "amy:", ":secret-7", "amy:secret-7,", "amy:sécret-7", "amy:secret 7", "amy:secret-7\n"]
)
def test_invalid_user_is_refused_without_being_shown(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    message = refused(monkeypatch, GAUGEPOST_FLOWER_BASIC_AUTH=value)
    assert message.startswith("GAUGEPOST_FLOWER_BASIC_AUTH: expected name:password")
    assert "secret-7" not in message
    assert "amy" not in message


@pytest.mark.parametrize(
    "value", [".*", "*@example.com", ".*@*", "amy@example.com|.*@example.com", "amy", "amy@example.com|"]
)
def test_login_rule_that_admits_every_user_or_none_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    assert "FLOWER_OIDC_USERS: expected" in refused(monkeypatch, **(OPENID | {"GAUGEPOST_FLOWER_OIDC_USERS": value}))


@pytest.mark.parametrize(
    ("address", "closed"),
    [
        ("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("", False), ("0.0.0.0", False),
        ("::", False), ("10.0.0.1", False), ("localhost.example.com", False), ("127.0.0.1.example.com", False),
    ],
)  # fmt: skip
def test_only_addresses_of_this_machine_itself_need_no_login(address: str, closed: bool) -> None:
    assert is_loopback(address) is closed


@pytest.mark.parametrize(
    ("url", "flowers"),
    [
        ("redis://h:6379/0", [["eu", "5555"]]),
        ("redis://redis-{region}:6379/0", [["eu", "5555"], ["us", "5556"], ["au", "5557"]]),
    ],
)
def test_up_starts_a_flower_for_each_redis(monkeypatch: pytest.MonkeyPatch, url: str, flowers: list[list[str]]) -> None:
    monkeypatch.setenv("GAUGEPOST_REDIS_URL", url)
    commands = [command for command in parts(Settings.load(), 4, 5555) if "flower" in command]
    assert [command[-3::2] for command in commands] == flowers
