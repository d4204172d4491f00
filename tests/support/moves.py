"""The steps by which a region is moved to another Redis, or restored from a backup."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

from support.deployment import ROOT

if TYPE_CHECKING:
    from support.redis_server import RedisServer
    from support.stack import Stack


def url_file(stack: Stack, server: RedisServer) -> str:
    path = stack.folder / "new_url"
    path.write_text(server.url)
    return str(path)


def steps(name: str) -> str:
    """Return a script of docs/upgrades.md by its name."""
    page = (ROOT / "docs/upgrades.md").read_text(encoding="utf-8")
    found = re.search(rf"```sh\n# {re.escape(name)}\n(.*?)```", page, re.DOTALL)
    assert found, name
    return found[1]


def run(script: str, **env: str) -> None:
    done = subprocess.run(
        ["sh", "-euc", script], env=env | {"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
