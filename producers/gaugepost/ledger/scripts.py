"""Loads the Lua scripts and runs them, on a blocking or an asyncio client.

Each script is one transition, or one look; `Call` is one such call as a value, so that the blocking and the
asyncio ledger share everything but the sending. Every script may be repeated: redis-py does that when an answer
was lost.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import redis.exceptions as redis_errors

from gaugepost.errors import BacklogFull, StoreError, StoreFull, StoreUnreachable
from gaugepost.jobs import JOBS
from gaugepost.keys import lua_table
from gaugepost.states import TRANSITIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import redis
    import redis.asyncio
    from redis.commands.core import AsyncScript, Script

T = TypeVar("T")
Argument = str | bytes | int


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One call of a script: its name, keys and arguments, and how to read its answer."""

    script: str
    keys: Sequence[str]
    args: Sequence[Argument]
    read: Callable[[Any], T]


def _prelude() -> str:
    legal = ", ".join(f"['{source}>{target}'] = true" for source, targets in TRANSITIONS.items() for target in targets)
    needs = ", ".join(f"{kind} = '{model.needs}'" for kind, model in JOBS.items())
    return f"{lua_table()}\nlocal LEGAL = {{{legal}}}\nlocal NEEDS = {{{needs}}}\n"


def _read(name: str) -> str:
    return files("gaugepost").joinpath("lua", f"{name}.lua").read_text(encoding="utf-8")


def load_scripts() -> dict[str, str]:
    """Return every script's whole text by its name: prelude, shared library, the script itself."""
    lua = files("gaugepost").joinpath("lua")
    names = sorted(entry.name.removesuffix(".lua") for entry in lua.iterdir() if entry.name.endswith(".lua"))
    before = _prelude() + _read("lib")
    return {name: f"{before}\n{_read(name)}" for name in names if name != "lib"}


_FULL = (redis_errors.OutOfMemoryError, redis_errors.ReadOnlyError)


@contextmanager
def our_errors() -> Iterator[None]:
    """Tell Redis' errors in gaugepost's own words; none of them holds data of a job."""
    try:
        yield
    except (redis_errors.ConnectionError, redis_errors.TimeoutError) as error:
        raise StoreUnreachable(f"Redis cannot be reached: {type(error).__name__}") from error
    except _FULL as error:
        raise StoreFull(f"Redis refuses writes: {type(error).__name__}") from error
    except redis_errors.ResponseError as error:
        text = str(error)
        for word in ("BACKLOGFULL ", "CONTENTFULL "):
            if word in text:
                raise BacklogFull(text.partition(word)[2].partition(" script:")[0]) from None
        if "CONTENTGONE " in text:
            raise StoreError("the contents of this upload lay staged for too long: upload it again") from None
        if any(word in text for word in ("OOM ", "MISCONF", "READONLY", "-OOM")):
            raise StoreFull("Redis refuses writes: " + text.split(" ", 1)[0]) from error
        raise StoreError(f"Redis refused a call: {text[:200]}") from error


class Runner:
    """Runs calls on a blocking client."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self._scripts: dict[str, Script] = {name: client.register_script(text) for name, text in load_scripts().items()}

    def __call__(self, call: Call[T]) -> T:
        """Run one call. Raises StoreUnreachable, StoreFull, BacklogFull, StoreError."""
        with our_errors():
            return call.read(self._scripts[call.script](keys=call.keys, args=call.args))


class AsyncRunner:
    """Runs calls on an asyncio client."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self.client = client
        self._scripts: dict[str, AsyncScript] = {
            name: client.register_script(text) for name, text in load_scripts().items()
        }

    async def __call__(self, call: Call[T]) -> T:
        """Run one call. Raises as `Runner` does."""
        with our_errors():
            return call.read(await self._scripts[call.script](keys=call.keys, args=call.args))
