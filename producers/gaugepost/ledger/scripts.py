"""Loads the Lua scripts and runs them, on a blocking or an asyncio client.

Each script is one transition, or one look; `Call` is one such call as a value, so that the blocking and the
asyncio ledger share everything but the sending. Every script may be repeated: redis-py does that when an answer
was lost.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import redis.exceptions as redis_errors

from gaugepost.bell import lua_bell
from gaugepost.errors import (
    BacklogFull,
    ClusterNotSupported,
    GaugepostError,
    LedgerClosed,
    NotPermitted,
    StoreError,
    StoreFull,
    StoreUnreachable,
)
from gaugepost.jobs import JOBS
from gaugepost.keys import SCHEMA, lua_table
from gaugepost.ledger.call_deadline import deadline
from gaugepost.ledger.connection_pool import Lines
from gaugepost.ledger.refusals import lacked, refused, refused_in_script, user_of
from gaugepost.ledger.script_rights import guard
from gaugepost.states import TRANSITIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from importlib.resources.abc import Traversable

    import redis
    import redis.asyncio

T = TypeVar("T")
Argument = str | bytes | int


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One call of a script: its name, keys and arguments, and how to read its answer."""

    script: str
    keys: Sequence[str]
    args: Sequence[Argument] = field(repr=False)
    read: Callable[[Any], T]


def _prelude() -> str:
    # Sorted: a set has another order in each process, and Redis would keep each process' own scripts for ever.
    legal = " ".join(sorted(f"{source}>{target}" for source, targets in TRANSITIONS.items() for target in targets))
    needs = ", ".join(f"{kind} = '{model.needs}'" for kind, model in JOBS.items())
    endpoints = ", ".join(f"{kind} = '{model.endpoints}'" for kind, model in JOBS.items())
    knows = f"local KNOWS = {{schema = {SCHEMA}}}\nlocal LEGAL = ' {legal} '\nlocal NEEDS = {{{needs}}}"
    knows += f"\nlocal ENDPOINTS = {{{endpoints}}}"
    return f"{lua_table()}\n{knows}\n{lua_bell()}"


_WITH = re.compile(r"^-- WITH +(\w+(?:, \w+)*)$", re.MULTILINE)


def _read_all(folder: Traversable) -> dict[str, str]:
    found = (entry for entry in folder.iterdir() if entry.name.endswith(".lua"))
    return {entry.name.removesuffix(".lua"): entry.read_text(encoding="utf-8") for entry in found}


@cache
def load_scripts() -> Mapping[str, str]:
    """Return every script's whole text by its name: prelude, the parts of the library it asks for, itself. Read once.

    Only those: Redis makes each function of a script anew at each call.
    """
    lua = files("gaugepost").joinpath("lua")
    library, prelude = _read_all(lua / "lib"), _prelude()

    def whole(script: str) -> str:
        asked = _WITH.search(script)
        parts = [library[part] for part in (asked[1].split(", ") if asked else [])]
        rest = "\n".join([*parts, script])
        return "\n".join([prelude, library["base"], guard(library["base"] + rest), rest])

    return MappingProxyType({name: whole(script) for name, script in _read_all(lua).items()})


_REFUSALS = {
    "OOM ": "out of memory",
    "READONLY ": "it is a read-only replica",
    "MISCONF ": "it cannot write to its disk",
    "NOREPLICAS ": "it has too few replicas",
}


def _refusal(error: redis_errors.ResponseError) -> str | None:
    """Tell why Redis refuses writes; redis-py takes the word of some refusals away and gives them a class instead."""
    match error:
        case redis_errors.OutOfMemoryError():
            return _REFUSALS["OOM "]
        case redis_errors.ReadOnlyError():
            return _REFUSALS["READONLY "]
        case _:
            return next((why for word, why in _REFUSALS.items() if word in str(error)), None)


def _not_permitted(error: redis_errors.ResponseError, call: Call[Any] | None, client: Any) -> NotPermitted | None:  # noqa: ANN401
    """Return what Redis' ACL refused; None for another error. Other commands than scripts: see NamingClient."""
    if call is None:
        return None
    if isinstance(error, redis_errors.NoPermissionError):
        return refused(error, user_of(client), ["EVALSHA", "", str(len(call.keys)), *call.keys])
    return lacked(error, user_of(client)) or refused_in_script(
        error, user_of(client), load_scripts()[call.script], call.keys
    )


_OF_A_CLUSTER = (redis_errors.ClusterCrossSlotError, redis_errors.ClusterDownError, redis_errors.AskError)


@contextmanager
def our_errors(call: Call[Any] | None = None, client: Any = None) -> Iterator[None]:  # noqa: ANN401 - either client
    """Raise Redis' errors as gaugepost's own; none of them holds data of a job.

    `call`, `client`: the script that runs, and on what, to name what Redis refuses.
    """
    try:
        yield
    except (redis_errors.ConnectionError, redis_errors.TimeoutError) as error:
        raise StoreUnreachable(f"Redis cannot be reached: {type(error).__name__}") from error
    except _OF_A_CLUSTER:
        raise ClusterNotSupported from None
    except redis_errors.ResponseError as error:
        raise (_not_permitted(error, call, client) or _answered(error)) from None


def _answered(error: redis_errors.ResponseError) -> GaugepostError:
    """Return the error that a refusal of Redis, or of a script, means."""
    text = str(error)
    if text.startswith("BUSY "):
        return StoreUnreachable("Redis is busy: a script runs for too long in it, and it refuses all else")
    for word in ("BACKLOGFULL ", "CONTENTFULL "):
        if word in text:
            return BacklogFull(text.partition(word)[2].partition(" script:")[0])
    if "LEDGERCLOSED " in text:
        return LedgerClosed(text.partition("LEDGERCLOSED ")[2].partition(" script:")[0])
    if "CONTENTGONE " in text:
        return StoreError("the contents of this upload lay staged for too long: upload it again")
    why = _refusal(error)
    if why is not None:
        return StoreFull(f"Redis refuses writes: {why}")
    return StoreError(f"Redis refused a call: {text[:200]}")


_LASTING = frozenset({"enqueue", "enqueue_set", "mark"})
"""The calls whose effect a fail-over must not forget: what was accepted, and that a first byte may have gone out."""

_WAIT_MS = 1_000


class _Scripts:
    """What both runners share: the commands of a call, and whether it has to wait for replicas."""

    def __init__(self, client: Any, replicas: int) -> None:  # noqa: ANN401 - redis-py types neither client's commands
        self.client = client
        self._replicas = replicas
        self._scripts: dict[str, Any] = {name: client.register_script(text) for name, text in load_scripts().items()}

    def known(self, call: Call[T]) -> list[Any]:
        """Return the command to try first."""
        return ["EVALSHA", self._scripts[call.script].sha, len(call.keys), *call.keys, *call.args]

    def whole(self, call: Call[T]) -> list[Any]:
        """Return the command for a server that does not know the script.

        That may happen at any time (a flush, a new master). EVAL takes the text along, so nothing can come between.
        """
        return ["EVAL", self._scripts[call.script].script, len(call.keys), *call.keys, *call.args]

    def waits(self, call: Call[T]) -> bool:
        return self._replicas > 0 and call.script in _LASTING

    def with_wait(self, pipe: Any, command: list[Any]) -> None:  # noqa: ANN401 - either client's pipeline
        pipe.execute_command(*command)
        pipe.execute_command("WAIT", self._replicas, _WAIT_MS)

    def waited(self, answers: list[Any]) -> Any:  # noqa: ANN401 - the script's answer
        """Return the script's answer, if enough replicas have its effect. Raises StoreUnreachable otherwise."""
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        if answers[1] < self._replicas:
            raise StoreUnreachable(f"{answers[1]} of {self._replicas} replicas have it: a fail-over may lose it")
        return answers[0]


class Runner(_Scripts):
    """Runs calls on a blocking client; those that must last, until `replicas` of Redis' replicas have their effect."""

    def __init__(self, client: redis.Redis, replicas: int = 0, timeout: float | None = None) -> None:
        super().__init__(client, replicas)
        self._timeout = timeout
        self._lines = Lines(client)

    def __call__(self, call: Call[T]) -> T:
        """Run one call. Raises StoreUnreachable, StoreFull, BacklogFull, StoreError."""
        with our_errors(call, self.client), deadline(self._timeout):
            try:
                return call.read(self._send(call, self.known(call)))
            except redis_errors.NoScriptError:
                return call.read(self._send(call, self.whole(call)))

    def _send(self, call: Call[T], command: list[Any]) -> Any:  # noqa: ANN401 - the script's answer
        if not self.waits(call):
            return self._lines.exchange(command)
        with self._lines.turn(), self.client.pipeline(transaction=False) as pipe:
            self.with_wait(pipe, command)
            return self.waited(pipe.execute(raise_on_error=False))  # its own error would repeat the arguments


class AsyncRunner(_Scripts):
    """Runs calls on an asyncio client, as `Runner` does."""

    def __init__(self, client: redis.asyncio.Redis, replicas: int = 0, timeout: float | None = None) -> None:
        super().__init__(client, replicas)
        self._timeout = timeout
        self._turns = asyncio.Semaphore(max(1, client.connection_pool.max_connections // 2))

    async def __call__(self, call: Call[T]) -> T:
        """Run one call. Raises as `Runner` does."""
        with our_errors(call, self.client):
            try:
                async with asyncio.timeout(self._timeout), self._turns:
                    return await self._run(call)
            except TimeoutError:
                raise redis_errors.TimeoutError(f"no answer within {self._timeout} s") from None

    async def _run(self, call: Call[T]) -> T:
        try:
            return call.read(await self._send(call, self.known(call)))
        except redis_errors.NoScriptError:
            return call.read(await self._send(call, self.whole(call)))

    async def _send(self, call: Call[T], command: list[Any]) -> Any:  # noqa: ANN401 - the script's answer
        if not self.waits(call):
            return await self.client.execute_command(*command)
        async with self.client.pipeline(transaction=False) as pipe:
            self.with_wait(pipe, command)
            return self.waited(await pipe.execute(raise_on_error=False))
