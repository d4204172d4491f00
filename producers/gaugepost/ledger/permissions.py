"""Find the rights in Redis' ACL that a user lacks. Changes nothing in Redis."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from redis.exceptions import NoPermissionError, ResponseError

from gaugepost.errors import NotPermitted, Refusal
from gaugepost.ledger.key_prefix import find
from gaugepost.ledger.refusals import refused, user_of
from gaugepost.ledger.rights import A_LANE_EACH, OF_OLDER, RIGHTS, Part, named
from gaugepost.ledger.scripts import our_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import redis

    from gaugepost.keys import Keys

_SAMPLE = "gaugepost-check"
"""The name that is tried for `*`, where a part needs many keys."""

_PROBE = """
local answers = {}
for i, text in ipairs(ARGV) do
  local command, answer = cjson.decode(text)
  repeat
    answer = redis.pcall(unpack(command))
    answer = type(answer) == 'table' and answer.err or ''
    command[#command + 1] = #command == 1 and KEYS[1] or '0'
  until #command > 5 or not string.find(answer, 'Wrong number of arg')
  answers[i] = answer
end
return answers
"""
"""Try each command of a list in a read-only script. Redis checks the user's rights first, and then refuses to write.
The script adds arguments to a command until Redis accepts their number."""

_COMMAND_REFUSED = re.compile(r"can't run this command|no permissions to run")
_KEY_REFUSED = re.compile(r"can't access at least one of the keys|No permissions to access a key")
_NOT_IN_SCRIPTS = frozenset(
    {
        *("EVAL", "EVALSHA", "EVAL_RO", "SCRIPT|LOAD", "SCRIPT|EXISTS"),
        *("WAIT", "MULTI", "EXEC", "BRPOP", "PSUBSCRIBE", "PUNSUBSCRIBE"),
    }
)
_ANSWER_S = 5.0


def lacking(client: redis.Redis, keys: Keys, part: Part) -> NotPermitted | None:
    """Return the rights of a part that the client's user lacks; None if it has all. Raises StoreError.

    Redis before 7.0 does not let gaugepost check all of them.
    """
    check = _PermissionCheck(client, keys, part)
    with our_errors():
        refusals = [*check.outside_scripts(), *check.inside_scripts()]
    return NotPermitted(user_of(client), *refusals) if refusals else None


def require(client: redis.Redis, keys: Keys, part: Part) -> None:
    """Raise NotPermitted if the client's user lacks rights of a part. Raises StoreError."""
    error = lacking(client, keys, part)
    if error is not None:
        raise error


class _PermissionCheck:
    """A check of the rights of the client's user in a region."""

    def __init__(self, client: Any, keys: Keys, part: Part) -> None:  # noqa: ANN401 - redis-py's commands
        self._client = client
        self._keys = keys
        self._rights = RIGHTS[part]()
        db = client.connection_pool.connection_kwargs.get("db") or 0
        self._channels = [named(channel, keys, db) for channel in self._rights.channels]

    def outside_scripts(self) -> Iterator[Refusal]:
        """Try the commands that scripts cannot run, with arguments that have no effect."""
        queues = [named(pattern, self._keys) for pattern in self._rights.queues if "{queue}" in pattern]
        tries: dict[str, Sequence[Any]] = {
            "WAIT": (0, 0),
            "EVALSHA": ("0" * 40, *self._named()),
            "EVAL": ("return 0", *self._named()),
            "SCRIPT|LOAD": ("return 0",),
            "SCRIPT|EXISTS": ("0" * 40,),
            "BRPOP": (*queues, "not a number"),
        }
        for command, arguments in tries.items():
            if command in self._rights.commands:
                yield from self._tried(command.replace("|", " "), *arguments)
        if "MULTI" in self._rights.commands:
            yield from self._tried_transaction()
        for channel in self._channels:
            yield from self._tried_channel(channel)

    def _named(self) -> tuple[int, *tuple[str, ...]]:
        """Return the key arguments of every ledger script; none for a part that uses only kombu's keys."""
        return (1, self._keys.prefix) if self._rights.keys else (0,)

    def _tried(self, *command: Any) -> Iterator[Refusal]:  # noqa: ANN401 - what redis-py takes
        try:
            self._client.execute_command(*command)
        except NotPermitted as error:
            yield from error.refusals
        except ResponseError:
            pass  # permitted; Redis refused the arguments

    def _tried_transaction(self) -> Iterator[Refusal]:
        with self._client.pipeline(transaction=True) as pipe:
            try:
                pipe.ping().execute()
            except NotPermitted as error:
                yield from error.refusals
            except ResponseError as error:  # Redis without free memory refuses all transactions
                if "without MULTI" in str(error):
                    yield Refusal("MULTI")

    def _tried_channel(self, channel: str) -> Iterator[Refusal]:
        with self._client.pubsub() as listening:
            try:
                listening.psubscribe(channel)
                listening.get_message(timeout=_ANSWER_S)
            except NoPermissionError as error:
                yield from refused(error, user_of(self._client), ["PSUBSCRIBE", channel]).refusals

    def inside_scripts(self) -> Iterator[Refusal]:
        """Try all commands and keys that a script can try."""
        names = sorted(self._samples())
        read = "GET" if "GET" in self._rights.commands else "LLEN"
        first = self._keys.prefix if self._rights.keys else names[0]
        whole = {
            "LMOVE": [first, first, "LEFT", "RIGHT"],
            "RENAME": [first, first],
            "PUBLISH": [*self._channels[:1], ""],
        }
        commands = [[command, *whole.get(command, [])] for command in sorted(self._rights.commands - _NOT_IN_SCRIPTS)]
        keys = [[read, name] for name in names]
        try:
            found = self._client.execute_command("EVAL_RO", _PROBE, 1, first, *map(json.dumps, [*commands, *keys]))
        except (NotPermitted, ResponseError):
            return  # Redis before 7.0 has no EVAL_RO. Without that right, a missing right shows at its first use
        answers = [answer.decode() for answer in found]
        for (command, *_), answer in zip(commands, answers, strict=False):
            if _COMMAND_REFUSED.search(answer):
                yield Refusal(command)
        of_keys = zip(names, answers[len(commands) :], strict=True)
        lacks = [name for name, answer in of_keys if _KEY_REFUSED.search(answer)]
        if lacks:
            yield Refusal("", tuple(name.replace(_SAMPLE, "*") for name in lacks))

    def _prefix(self) -> str:
        """Return the current prefix of the keys; the default one for a user that may not read them."""
        if self._rights.keys:
            with suppress(NotPermitted):
                return find(self._client, self._keys)[0].prefix
        return self._keys.prefix

    def _samples(self) -> Iterator[str]:
        """Yield the keys to try: all fixed ones, and one of each family."""
        prefix = self._prefix()
        for name in self._rights.keys:
            yield prefix + name + (_SAMPLE if name.endswith(":") else "")
            if name in A_LANE_EACH:
                yield f"{prefix}{name}:{_SAMPLE}"
        older = self._keys.older()
        if older is not None and self._rights.keys:
            yield from (older[name] for name in OF_OLDER)
        for pattern in self._rights.queues:
            yield named(pattern, self._keys).replace("*", _SAMPLE)
