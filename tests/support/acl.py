"""Create the Redis users of docs/redis-acl.md."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import redis

from gaugepost_ops.embedded_redis import server_program, wheel_program
from support.redis_server import RedisServer

PAGE = Path(__file__).parents[2] / "docs/redis-acl.md"
PROGRAMS = sorted({str(program) for program in (server_program(), wheel_program()) if program})
"""Redis of this machine, and Valkey: they refuse in other words."""


def documented_users() -> list[str]:
    """Return the lines of the ACL file on the page."""
    [block] = re.findall(r"^```acl\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return str(block).splitlines()


class GuardedRedis(RedisServer):
    """A Redis with these users; `url` is the administrator's."""

    def __init__(self, folder: Path, *options: str, program: str | None = None) -> None:
        file = folder / "users.acl"
        file.write_text("\n".join(documented_users()) + "\n", encoding="utf-8")
        super().__init__(folder, "--aclfile", str(file), *options)
        self._program = program or self._program
        self.url = f"redis://:password-of-default@127.0.0.1:{self.port}/0"

    def url_of(self, part: str) -> str:
        return f"redis://gaugepost-{part}:password-of-{part}@127.0.0.1:{self.port}/0"

    def set_user(self, name: str, *rules: str) -> None:
        """Create a user, or change its rights."""
        with self.client() as client:
            client.execute_command("ACL", "SETUSER", name, *rules)

    def refusals(self) -> list[dict[str, Any]]:
        """Return what Redis refused so far: user, reason, object, and where."""
        with self.client() as client:
            found: list[dict[str, Any]] = client.acl_log()  # type: ignore[no-untyped-call]
        shown = ("username", "reason", "context", "object")
        return [{name: entry[name] for name in shown} for entry in found]

    def as_user(self, part: str) -> redis.Redis:
        return redis.Redis.from_url(self.url_of(part))
