"""`gaugepost users`: who signs in to the console."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import redis

from gaugepost import Region
from gaugepost_ops.passwords import is_password
from support.audit_trail import ME, trail

if TYPE_CHECKING:
    from conftest import Cli
    from gaugepost import Producer

PASSWORD = "correct horse battery"


def add(cli: Cli, name: str = "ann", password: str = PASSWORD) -> int:
    return cli("users", "add", name, "--role", "operator", stdin=f"{password}\n").code


def test_password_is_read_from_stdin_and_stored_as_a_hash(cli: Cli, redis_url: str) -> None:
    done = cli("users", "add", "ann", "--role", "admin", "--json", stdin=f"{PASSWORD}\n")
    [row] = done.rows
    assert (done.code, row["name"], row["role"], row["created_by"]) == (0, "ann", "admin", ME)
    assert cli("users", "list", "--json").rows == [row]
    with redis.Redis.from_url(redis_url) as client:
        assert all(PASSWORD.encode() not in (client.dump(name) or b"") for name in client.scan_iter())  # type: ignore[operator]


@pytest.mark.parametrize("password", ["", "short", "x" * 201])
def test_password_that_is_too_short_or_too_long_is_refused(cli: Cli, password: str) -> None:
    done = cli("users", "add", "ann", "--role", "viewer", stdin=f"{password}\n")
    assert done.code == 2
    assert "expected a password of 12 to 200 characters" in done.err
    assert cli("users", "list").err == "no users; `gaugepost users add NAME --role viewer` adds one\n"


def test_name_is_given_once(cli: Cli) -> None:
    assert add(cli) == 0
    again = cli("users", "add", "ann", "--role", "admin", stdin=f"{PASSWORD}\n")
    assert (again.code, again.err.splitlines()[0]) == (1, "there is a user ann already")
    assert cli("users", "add", "a b", "--role", "admin", stdin=f"{PASSWORD}\n").code == 2


def test_new_password_replaces_the_old_one_and_keeps_the_role(cli: Cli, producer: Producer) -> None:
    add(cli)
    done = cli("users", "password", "ann", stdin="another password\n")
    assert (done.code, done.out) == (0, "ann: password changed in eu, us, au\n")
    for region in Region:
        [user] = producer.ledger(region).users.read()
        assert is_password(user.password, "another password")
        assert not is_password(user.password, PASSWORD)
        assert user.role == "operator"


def test_removed_user_is_gone_everywhere(cli: Cli) -> None:
    add(cli)
    assert cli("users", "remove", "ann").out == "ann: removed in eu, us, au\n"
    for command in ("remove", "password", "link"):
        done = cli("users", command, "ann", stdin=f"{PASSWORD}\n")
        assert (done.code, done.err.splitlines()[0]) == (1, "no user ann"), command
    assert cli("users", "sign-out", "ann").out == "ann: signed out in eu, us, au\n"


def test_link_has_the_address_of_the_console(cli: Cli) -> None:
    add(cli)
    cli.environment["GAUGEPOST_CONSOLE_URL"] = "https://console.example"
    done = cli("users", "link", "ann", "--valid", "15m")
    assert done.out.startswith("https://console.example/sign-in?link=eu.")
    assert done.err == "it signs ann in once, within 15 min\n"
    [row] = cli("users", "link", "ann", "--json").rows
    assert (row["name"], row["valid_s"]) == ("ann", 600)
    assert cli("users", "link", "ann", "--valid", "2d").code == 2


def test_changes_are_in_the_audit_trail_without_secrets(cli: Cli) -> None:
    add(cli)
    link = cli("users", "link", "ann").out.strip().partition("link=")[2]
    cli("users", "sign-out", "ann")
    entries = [entry for entry in trail(cli) if entry["region"] == "eu"]
    assert [entry["action"] for entry in entries] == ["users sign-out", "users link", "users add"]
    assert {entry["target"] for entry in entries} == {"ann"}
    assert PASSWORD not in str(entries)
    assert link not in str(entries)
