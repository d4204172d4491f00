"""Load the Lua scripts, and run them on a blocking or an asyncio client.

A script is one transition or one read. A `Call` is the value of one script call; the blocking and the asyncio ledger
share all calls and differ only in how they send them. Every script can be repeated without harm: redis-py repeats it
when an answer was lost.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import redis.exceptions as redis_errors

from gaugepost.bell import lua_bell
from gaugepost.errors import (
    BacklogFull,
    BatchConflict,
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
from gaugepost.ledger.connection_pool import Connections
from gaugepost.ledger.refusals import lacked, refused, refused_in_script, user_of
from gaugepost.ledger.script_rights import guard
from gaugepost.states import TRANSITIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from importlib.resources.abc import Traversable

    import redis
    import redis.asyncio

T = TypeVar("T")
Argument = str | bytes | int


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One call of a script: its name, keys and arguments, and the function that parses its answer."""

    script: str
    keys: Sequence[str]
    args: Sequence[Argument] = field(repr=False)
    read: Callable[[Any], T]


def _prelude() -> str:
    # Sorted: a set has a different order in each process, and Redis would store a new script for each process.
    legal = " ".join(sorted(f"{source}>{target}" for source, targets in TRANSITIONS.items() for target in targets))
    needs = ", ".join(f"{kind} = '{model.needs}'" for kind, model in JOBS.items())
    endpoints = ", ".join(f"{kind} = '{model.endpoints}'" for kind, model in JOBS.items())
    constants = f"local KNOWS = {{schema = {SCHEMA}}}\nlocal LEGAL = ' {legal} '\nlocal NEEDS = {{{needs}}}"
    constants += f"\nlocal ENDPOINTS = {{{endpoints}}}"
    return f"{lua_table()}\n{constants}\n{lua_bell()}"


_WITH = re.compile(r"^-- WITH +(\w+(?:, \w+)*)$", re.MULTILINE)


def _read_all(folder: Traversable) -> dict[str, str]:
    found = (entry for entry in folder.iterdir() if entry.name.endswith(".lua"))
    return {entry.name.removesuffix(".lua"): entry.read_text(encoding="utf-8") for entry in found}


def _parts(text: str, library: Mapping[str, str]) -> list[str]:
    """Return the library files that a script or library file names after `-- WITH`, each behind those that it names."""
    found: list[str] = []
    asked = _WITH.search(text)
    for part in asked[1].split(", ") if asked else []:
        found += [*_parts(library[part], library), part]
    return list(dict.fromkeys(found))


@cache
def load_scripts() -> Mapping[str, str]:
    """Return name → text of each script: the prelude, the library files that it needs, and itself.

    A script gets only the library files that it needs, because Redis creates all its functions at each call.
    """
    lua = files("gaugepost").joinpath("lua")
    library, prelude = _read_all(lua / "lib"), _prelude()

    def whole(script: str) -> str:
        rest = "\n".join([*(library[part] for part in _parts(script, library)), script])
        return "\n".join([prelude, library["base"], guard(library["base"], rest), rest])

    return MappingProxyType({name: whole(script) for name, script in _read_all(lua).items()})


_REFUSALS = {
    "OOM ": "out of memory",
    "READONLY ": "it is a read-only replica",
    "MISCONF ": "it cannot write to its disk",
    "NOREPLICAS ": "it has too few replicas",
}


def _refusal(error: redis_errors.ResponseError) -> str | None:
    """Return why Redis refuses writes; None for another error. redis-py has a class for some of these errors."""
    match error:
        case redis_errors.OutOfMemoryError():
            return _REFUSALS["OOM "]
        case redis_errors.ReadOnlyError():
            return _REFUSALS["READONLY "]
        case _:
            return next((why for word, why in _REFUSALS.items() if word in str(error)), None)


def _not_permitted(error: redis_errors.ResponseError, call: Call[Any] | None, client: Any) -> NotPermitted | None:  # noqa: ANN401
    """Return the error for a script that Redis' ACL refused; None for another error.

    NamingClient does the same for other commands.
    """
    if call is None:
        return None
    if isinstance(error, redis_errors.NoPermissionError):
        return refused(error, user_of(client), ["EVALSHA", "", str(len(call.keys)), *call.keys])
    return lacked(error, user_of(client)) or refused_in_script(
        error, user_of(client), load_scripts()[call.script], call.keys
    )


class our_errors:  # noqa: N801 - a context manager as contextlib makes one, at a fifth of its cost
    """Convert errors of redis-py into those of gaugepost, which contain no data of a job.

    `call` and `client`: the script that runs, to name the commands and keys that Redis' ACL refuses.
    """

    __slots__ = ("_call", "_client")

    def __init__(self, call: Call[Any] | None = None, client: Any = None) -> None:  # noqa: ANN401 - either client
        self._call, self._client = call, client

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        match error:
            case None:
                return
            case redis_errors.ConnectionError() | redis_errors.TimeoutError():
                raise StoreUnreachable(f"Redis cannot be reached: {type(error).__name__}") from error
            case redis_errors.ClusterCrossSlotError() | redis_errors.ClusterDownError() | redis_errors.AskError():
                raise ClusterNotSupported from None
            case redis_errors.ResponseError():
                raise (_not_permitted(error, self._call, self._client) or _converted(error)) from None


_OURS = {
    "BACKLOGFULL ": BacklogFull,
    "CONTENTFULL ": BacklogFull,
    "BATCHCONFLICT ": BatchConflict,
    "LEDGERCLOSED ": LedgerClosed,
}
"""The first word of an error that a script returned → its class."""


def _converted(error: redis_errors.ResponseError) -> GaugepostError:
    """Return gaugepost's error for an error that Redis or a script returned."""
    text = str(error)
    if text.startswith("BUSY "):
        return StoreUnreachable("Redis is busy: a script has run for too long, and Redis refuses all other commands")
    for word, error_class in _OURS.items():
        if word in text:
            return error_class(text.partition(word)[2].partition(" script:")[0])
    if "CONTENTGONE " in text:
        return StoreError("the staged contents of this upload have expired: upload it again")
    why = _refusal(error)
    if why is not None:
        return StoreFull(f"Redis refuses writes: {why}")
    return StoreError(f"Redis refused a call: {text[:200]}")


_REPLICATED = frozenset({"enqueue", "enqueue_batch", "enqueue_set", "mark"})
"""The scripts that wait for replicas: a fail-over must lose no accepted job and no sending mark."""

_WAIT_MS = 1_000


class _Scripts:
    """The common part of both runners: the commands of a call, and the wait for replicas."""

    def __init__(self, client: Any, replicas: int) -> None:  # noqa: ANN401 - redis-py types neither client's commands
        self.client = client
        self._replicas = replicas
        self._scripts: dict[str, Any] = {name: client.register_script(text) for name, text in load_scripts().items()}

    def by_hash(self, call: Call[T]) -> list[Any]:
        """Return the command for a server that has the script: the runner tries it first."""
        return ["EVALSHA", self._scripts[call.script].sha, len(call.keys), *call.keys, *call.args]

    def with_text(self, call: Call[T]) -> list[Any]:
        """Return the command for a server that does not have the script, after a flush or on a new master.

        EVAL sends the text, so it cannot fail for the same reason again.
        """
        return ["EVAL", self._scripts[call.script].script, len(call.keys), *call.keys, *call.args]

    def waits(self, call: Call[T]) -> bool:
        return self._replicas > 0 and call.script in _REPLICATED

    def add_with_wait(self, pipe: Any, command: list[Any]) -> None:  # noqa: ANN401 - either client's pipeline
        pipe.execute_command(*command)
        pipe.execute_command("WAIT", self._replicas, _WAIT_MS)

    def replicated(self, answers: list[Any]) -> Any:  # noqa: ANN401 - the script's answer
        """Return the script's answer. Raises StoreUnreachable if too few replicas have its effect."""
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        if answers[1] < self._replicas:
            raise StoreUnreachable(f"{answers[1]} of {self._replicas} replicas have it: a fail-over may lose it")
        return answers[0]


class Runner(_Scripts):
    """Run calls on a blocking client.

    `replicas`: how many replicas must have the effect of enqueue and mark. `timeout`: seconds for a call in all.
    """

    def __init__(self, client: redis.Redis, replicas: int = 0, timeout: float | None = None) -> None:
        super().__init__(client, replicas)
        self._timeout = timeout
        self._connections = Connections(client)

    def __call__(self, call: Call[T]) -> T:
        """Run one call. Raises StoreUnreachable, StoreFull, BacklogFull, StoreError."""
        with our_errors(call, self.client), deadline(self._timeout):
            try:
                return call.read(self._send(call, self.by_hash(call)))
            except redis_errors.NoScriptError:
                return call.read(self._send(call, self.with_text(call)))

    def each(self, calls: Iterable[Call[list[T]]]) -> list[T]:
        """Run calls one after another, and return the values of all."""
        return [one for call in calls for one in self(call)]

    def _send(self, call: Call[T], command: list[Any]) -> Any:  # noqa: ANN401 - the script's answer
        if not self.waits(call):
            return self._connections.exchange(command)
        with self._connections.reserve(), self.client.pipeline(transaction=False) as pipe:
            self.add_with_wait(pipe, command)
            return self.replicated(pipe.execute(raise_on_error=False))  # redis-py's error would quote the arguments


class AsyncRunner(_Scripts):
    """Run calls on an asyncio client; see `Runner`."""

    def __init__(self, client: redis.asyncio.Redis, replicas: int = 0, timeout: float | None = None) -> None:
        super().__init__(client, replicas)
        self._timeout = timeout
        self._permits = asyncio.Semaphore(max(1, client.connection_pool.max_connections // 2))

    async def __call__(self, call: Call[T]) -> T:
        """Run one call. Raises the errors of `Runner`."""
        with our_errors(call, self.client):
            try:
                async with asyncio.timeout(self._timeout), self._permits:
                    return await self._run(call)
            except TimeoutError:
                raise redis_errors.TimeoutError(f"no answer within {self._timeout} s") from None

    async def _run(self, call: Call[T]) -> T:
        try:
            return call.read(await self._send(call, self.by_hash(call)))
        except redis_errors.NoScriptError:
            return call.read(await self._send(call, self.with_text(call)))

    async def _send(self, call: Call[T], command: list[Any]) -> Any:  # noqa: ANN401 - the script's answer
        if not self.waits(call):
            return await self.client.execute_command(*command)
        async with self.client.pipeline(transaction=False) as pipe:
            self.add_with_wait(pipe, command)
            return self.replicated(await pipe.execute(raise_on_error=False))
