"""`gaugepost keys`: create, list and revoke the keys of the gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import redis

from support.audit_trail import ME, trail

if TYPE_CHECKING:
    from conftest import Cli
    from support.redis_server import RedisServer


def test_key_is_printed_once_and_stored_as_a_hash(cli: Cli, redis_url: str) -> None:
    done = cli("keys", "create", "crm", "--scope", "enqueue", "--scope", "read", "--source", "crm", "--expires", "90d")
    key = done.out.strip()
    assert (done.code, key[:3], len(key)) == (0, "gp_", 46)
    assert "crm: enqueue, read in eu, us, au; source crm; until " in done.err
    assert key not in done.err
    with redis.Redis.from_url(redis_url) as client:
        assert all(key.encode() not in (client.dump(name) or b"") for name in client.scan_iter())  # type: ignore[operator]
    [row] = cli("keys", "list", "--json").rows
    assert key not in str(row)
    assert {name: row[name] for name in ("name", "scopes", "regions", "source", "rate", "last_used_at")} == {
        "name": "crm",
        "scopes": ["enqueue", "read"],
        "regions": ["eu", "us", "au"],
        "source": "crm",
        "rate": None,
        "last_used_at": None,
    }
    assert (row["created_by"], row["expires_at"] > row["created_at"]) == (ME, True)


def test_json_of_a_new_key_has_what_the_contract_says(cli: Cli) -> None:
    done = cli("keys", "create", "crm", "--region", "us", "--rate", "5", "--json")
    [row] = done.rows
    assert row.pop("key").startswith("gp_")
    expected = {"scopes": ["enqueue"], "regions": ["us"], "source": None, "expires_at": None, "rate": 5}
    assert row == {"name": "crm"} | expected
    assert done.err == ""


def test_revoked_key_is_gone_and_its_name_is_free(cli: Cli) -> None:
    assert cli("keys", "create", "crm", "--region", "us").code == 0
    taken = cli("keys", "create", "crm", "--region", "eu")
    assert (taken.code, taken.out) == (1, "")
    assert "there is a key crm already" in taken.err
    done = cli("keys", "revoke", "crm")
    assert (done.code, done.out) == (0, "crm: revoked in us\n")
    again = cli("keys", "revoke", "crm")
    assert (again.code, again.err.splitlines()[0]) == (1, "no key crm")
    assert cli("keys", "list").err == "no keys; `gaugepost keys create NAME` makes one\n"
    assert cli("keys", "create", "crm").code == 0


def test_key_is_revoked_where_redis_answers_while_a_region_is_away(cli: Cli, redis_server: RedisServer) -> None:
    assert cli("keys", "create", "crm").code == 0
    cli.environment["GAUGEPOST_REDIS_URL"] = f"redis://{{region}}:pass@127.0.0.1:{redis_server.port}/0"
    with redis_server.client() as client:
        for region in ("us", "au"):  # not eu, the first
            client.acl_setuser(region, enabled=True, passwords=["+pass"], keys=["*"], categories=["+@all"])
        done = cli("keys", "revoke", "crm")
        client.acl_deluser("us", "au")
    assert (done.code, done.out) == (3, "crm: revoked in us, au\n")
    assert "not reached: eu" in done.err
    del cli.environment["GAUGEPOST_REDIS_URL"]
    assert cli("keys", "revoke", "crm").out == "crm: revoked in eu\n"


def test_keys_are_recorded_by_their_names(cli: Cli) -> None:
    cli("keys", "create", "crm", "--region", "us")
    cli("keys", "revoke", "crm")
    rows = [(row["action"], row["target"], row["region"], row["count"], row["outcome"]) for row in trail(cli)]
    assert rows == [("keys revoke", "crm", "us", 1, "done"), ("keys create", "crm", "us", 1, "done")]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("",), "NAME: expected 1 to 64 letters"),
        (("a b",), "NAME: expected 1 to 64 letters"),
        (("a", "--source", "a b"), "--source: "),
        (("a", "--expires", "soon"), "--expires: expected a duration"),
        (("a", "--expires", "0"), "--expires: expected a duration"),
        (("a", "--expires", "99999d"), "--expires: expected a duration"),
        (("a", "--scope", "all"), "--scope"),
        (("a", "--rate", "0"), "--rate"),
    ],
    ids=str,
)
def test_wrong_key_is_refused(cli: Cli, arguments: tuple[str, ...], said: str) -> None:
    done = cli("keys", "create", *arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert cli("keys", "list", "--json").rows == []
