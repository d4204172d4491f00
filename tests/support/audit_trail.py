"""What tests of the command line expect in the audit trail."""

from __future__ import annotations

import getpass
import socket
from typing import TYPE_CHECKING, Any

import redis

from gaugepost import Region

if TYPE_CHECKING:
    from conftest import Cli

ME = f"{getpass.getuser()}@{socket.gethostname()}"
DONE: dict[str, Any] = {"actor": ME, "via": "cli", "region": "eu", "outcome": "done", "error": None}
REFUSED: dict[str, Any] = {"actor": ME, "via": "cli", "count": 0, "outcome": "failed", "error": "refused"}


def trail(cli: Cli) -> list[dict[str, Any]]:
    """Return the rows of `gaugepost audit`, without what differs from call to call."""
    done = cli("audit", "--json")
    assert done.code == 0, done.err
    return [{name: value for name, value in row.items() if name not in {"at", "id"}} for row in done.rows]


def only(cli: Cli, **expected: Any) -> None:
    """Check that the trail has one entry, which has these fields."""
    [row] = trail(cli)
    assert {name: row[name] for name in expected} == expected


def export(cli: Cli, rows: int = 2) -> str:
    """Write a file with this number of rows."""
    lines = "".join(f"person{n}@example.com,{n}\r\n" for n in range(rows))
    (cli.folder / "export.csv").write_bytes(f"Email,Number\r\n{lines}".encode())
    return "export.csv"


def forget(cli: Cli) -> None:
    """Empty the trails of all regions."""
    with redis.Redis.from_url(cli.settings["GAUGEPOST_REDIS_URL"]) as client:
        client.delete(*(f"gaugepost:{{{region}}}:audit" for region in Region))
