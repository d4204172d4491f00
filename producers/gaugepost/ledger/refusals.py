"""Parse refusals of Redis' ACL: which user may not run which command on which keys.

Redis names only the command, or says "one of the keys". This module adds keys and channels from the command that was
sent. It uses no other argument, because those may be data.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import redis
import redis.asyncio
import redis.client
from redis.exceptions import NoPermissionError, ResponseError

from gaugepost.errors import NotPermitted, Refusal
from gaugepost.keys import older

if TYPE_CHECKING:
    from collections.abc import Sequence

_COMMAND = re.compile(r"run the '([\w|]+)' command")
_PIPELINED = re.compile(r"Command # \d+ \((.*?)\) of pipeline caused error: ", re.DOTALL)
_IN_A_SCRIPT = re.compile(r"ACL failure in script|The user executing the script can't")
_LINE = re.compile(r"@user_script:(\d+)")
_CALL = re.compile(r"redis\.p?call\('(\w+)'(?:, ([KF]\.\w+|KEYS\[\d\]|(?:PREFIX|older\(\)) \.\. '\w+'))?")
_MANY = frozenset({"PSUBSCRIBE", "EXISTS", "MGET", "DEL", "UNLINK"})
_NO_KEYS = frozenset({"INFO", "TIME", "PING", "WAIT", "AUTH", "HELLO", "CLIENT", "SELECT", "SCAN", "EVAL_RO"})


def user_of(client: Any) -> str:  # noqa: ANN401 - blocking or asyncio
    """Return the name of a client's ACL user."""
    return str(client.connection_pool.connection_kwargs.get("username") or "default")


def refused(error: NoPermissionError, user: str, command: Sequence[Any]) -> NotPermitted:
    """Return the error for a refused command."""
    text = str(error)
    if pipelined := _PIPELINED.match(text):
        command = pipelined[1].split(" ")
    named = _COMMAND.search(text)
    words = [word.decode(errors="replace") if isinstance(word, bytes) else str(word) for word in command]
    sent = words[0].upper() if words else "a command"
    name = named[1].upper().replace("|", " ") if named else sent
    return NotPermitted(user, Refusal(name, tuple(_names(words) if name == sent else ())))


def _names(words: Sequence[str]) -> Sequence[str]:
    """Return the keys or channels of a command."""
    match words:
        case [("EVAL" | "EVALSHA"), _, many, *rest]:
            return rest[: int(many)]
        case ["BRPOP", *keys, _]:
            return keys
        case ["PUBLISH", channel, _]:
            return [channel]
        case [command, *names] if command in _MANY:
            return names
        case [command, key, *_] if command not in _NO_KEYS:
            return [key]
        case _:
            return []


def lacked(error: ResponseError, user: str) -> NotPermitted | None:
    """Return what a script found that its user lacks, before it wrote anything; None for another error."""
    word, _, names = str(error).partition(" script:")[0].partition(" ")
    match word:
        case "LACKSCOMMAND":
            return NotPermitted(user, Refusal(names))
        case "LACKSKEYS":
            return NotPermitted(user, Refusal("", tuple(names.split(" "))))
        case _:
            return None


def refused_in_script(error: ResponseError, user: str, script: str, keys: Sequence[str]) -> NotPermitted | None:
    """Return the error for a command that Redis refused inside a script; None for another error.

    Redis names the line of the script. The text of that line has the command and often the key.
    """
    text = str(error)
    if not _IN_A_SCRIPT.search(text):
        return None
    named, line = _COMMAND.search(text), _LINE.search(text)
    lines = script.splitlines()
    found = _CALL.findall(lines[int(line[1]) - 1]) if line and int(line[1]) <= len(lines) else []
    if named:
        found = [(command, key) for command, key in found if command == named[1].upper()]
    commands = [named[1].upper()] if named else list(dict.fromkeys(command for command, _ in found))
    names = [_key(key, keys) for _, key in found if key]
    command = " or ".join(commands) or "a command of a script"
    return NotPermitted(user, Refusal(command, tuple(names or [f"{keys[0]}*", *keys[1:]])))


def _key(text: str, keys: Sequence[str]) -> str:
    """Return the key for the Lua expressions `K.name`, `F.family` (as a pattern), `KEYS[2]` and `older() .. 'x'`."""
    if text.startswith("KEYS"):
        return keys[int(text[5]) - 1]
    if text.startswith(("PREFIX", "older")):
        prefix, _, name = text.partition(" .. ")
        return (older(keys[0]) if prefix == "older()" else keys[0]) + name.strip("'")
    table, _, name = text.partition(".")
    return f"{keys[0]}{name}{':*' if table == 'F' else ''}"


class NamingClient(redis.Redis):
    """A client that raises NotPermitted with the command and the keys that Redis refused."""

    def execute_command(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - redis-py's signature
        """Run one command. Raises NotPermitted."""
        try:
            return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except NoPermissionError as error:
            raise refused(error, user_of(self), args) from None

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> NamingPipeline:  # noqa: ANN401, FBT001, FBT002
        """Return a pipeline that raises NotPermitted too."""
        return NamingPipeline(self.connection_pool, self.response_callbacks, transaction, shard_hint)


class NamingPipeline(redis.client.Pipeline):
    """A pipeline that raises NotPermitted with the command that Redis refused."""

    def execute(self, raise_on_error: bool = True) -> list[Any]:  # noqa: FBT001, FBT002 - redis-py's signature
        """Run the commands. Raises NotPermitted."""
        try:
            return super().execute(raise_on_error)
        except NoPermissionError as error:
            raise refused(error, user_of(self), ()) from None


class NamingAsyncClient(redis.asyncio.Redis):
    """An asyncio client that raises NotPermitted with the command and the keys that Redis refused."""

    async def execute_command(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - redis-py's signature
        """Run one command. Raises NotPermitted."""
        try:
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except NoPermissionError as error:
            raise refused(error, user_of(self), args) from None
