"""Moves a region to another Redis, or to the names of its namespace: closes its ledger, moves every key, opens it.

Closed, the ledger refuses every script, so no process with the old URL, or of a version that knows the old names, can
accept a job that is left behind. All steps may be repeated, so a move that was cut is taken up by another call.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gaugepost.errors import StoreError
from gaugepost.ledger.key_prefix import find
from gaugepost.ledger.scripts import our_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import redis

    from gaugepost.keys import Keys

_MOVED = b"moved "
_RENAMING = b"renaming "  # lib/base.lua knows both
_AT_ONCE = 100
_OURS = "gaugepost."  # our tasks' names begin so
_BELLS = 200  # no queue holds more messages of ours


class Move:
    """The move of one region's keys. All calls raise StoreError."""

    def __init__(self, old: redis.Redis, new: redis.Redis, keys: Keys) -> None:
        """Prepare a move of the region to `new`; to `old` itself: to the names that `keys` gives."""
        self._old: Any = old
        self._new: Any = new
        self._renames = new is old
        self._target = keys
        self._source = self._found(keys)

    def _found(self, keys: Keys) -> Keys:
        older = keys.older()
        if older is not None and self._renames:
            with our_errors():
                if (self._old.get(keys["schema"]) or b"").startswith(_RENAMING):
                    return older
        return find(self._old, keys)[0]

    def check(self) -> None:
        """Refuse a move that would double a job, or mix two ledgers. Raises StoreError."""
        if self._renames and self._source is self._target:
            raise StoreError(f"the keys of this region have the names of the namespace already: {self._target.prefix}…")
        with our_errors():
            held = self._old.zcard(self._source["leases"])
            is_taken = self._is_taken()
        if held:
            raise StoreError(f"{held} jobs are in workers' hands: end the region's workers first (SIGTERM), then move")
        if is_taken:
            raise StoreError("there is a ledger of this region already where it is to go")

    def _is_taken(self) -> bool:
        """Return whether another ledger is where this one goes. A move that was cut has left some of its own keys."""
        begun = (self._value() or b"").startswith(_MOVED)
        has_keys = not begun and any(self._all(self._new, self._target))
        if has_keys or self._renames:
            return has_keys
        return find(self._new, self._target)[0] is not self._target or bool(self._new.exists(self._target["schema"]))

    def close(self) -> None:
        """Close the old ledger; what was in the middle of a call has been, or is refused."""
        with our_errors():
            value = self._value() or b"0"
            if not value.startswith(_MOVED):
                if self._renames:
                    self._old.set(self._target["schema"], _RENAMING + value)
                self._old.set(self._source["schema"], _MOVED + value)

    def names(self) -> list[bytes]:
        """Return the keys there are to copy, once the old ledger is closed."""
        return [name for name in self._all(self._old, self._source) if name != self._source["schema"].encode()]

    def copy(self, names: Sequence[bytes]) -> Iterator[int]:
        """Copy these keys with the time they have left; yields how many, step by step."""
        for start in range(0, len(names), _AT_ONCE):
            batch = names[start : start + _AT_ONCE]
            with our_errors():
                self._put(batch)
            yield len(batch)

    def open(self) -> None:
        """Open the new ledger, once it has all."""
        with our_errors():
            value = (self._value() or b"0").removeprefix(_MOVED)
            self._new.set(self._target["schema"], value)
            older = self._target.older()
            if older is not None:  # versions that know these names alone would begin another ledger there
                self._new.set(older["schema"], _MOVED + value)

    def take_bells_away(self) -> None:
        """Take our messages out of the queues that versions without namespaces used, and nobody else's."""
        with our_errors():
            for queue in self._target.older_queues:
                for message in self._old.lrange(queue, 0, _BELLS - 1):
                    if _is_ours(message):
                        self._old.lrem(queue, 1, message)

    def _value(self) -> bytes | None:
        found: Any = self._old.get(self._source["schema"])
        return None if found is None else bytes(found)

    def _all(self, client: Any, keys: Keys) -> Iterator[bytes]:  # noqa: ANN401 - redis-py's commands
        # Bells and ticks stay: workers and beat ring anew.
        pattern = keys.prefix.replace("[", "\\[") + "*"
        with our_errors():
            yield from dict.fromkeys(client.scan_iter(match=pattern, count=1000))

    def _put(self, names: Sequence[bytes]) -> None:
        if self._renames:
            self._rename(names)
            return
        with self._old.pipeline(transaction=False) as reading:
            for name in names:
                reading.dump(name)
                reading.pttl(name)
            answers = reading.execute()
        with self._new.pipeline(transaction=False) as writing:
            for name, text, left in zip(names, answers[::2], answers[1::2], strict=True):
                if text is not None:  # else its time was over meanwhile
                    writing.restore(self._renamed(name), max(0, left), text, replace=True)
            writing.execute()

    def _rename(self, names: Sequence[bytes]) -> None:
        with self._old.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.rename(name, self._renamed(name))
            for answer in pipe.execute(raise_on_error=False):
                if isinstance(answer, Exception) and "no such key" not in str(answer):  # its time was over meanwhile
                    raise answer

    def _renamed(self, name: bytes) -> bytes:
        return self._target.prefix.encode() + name.removeprefix(self._source.prefix.encode())


def _is_ours(message: bytes) -> bool:
    try:
        return bool(json.loads(message)["headers"]["task"].startswith(_OURS))
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
