"""Move a region to another Redis, or rename its keys to the names of its namespace.

It closes the ledger, moves every key, and opens the ledger. A closed ledger refuses every script. So a process that has
the old URL, or a version that knows only the old names, cannot accept a job that would be left behind. All steps can be
repeated: after an interruption, call `gaugepost move` again.
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
_BATCH, _BATCH_BYTES = 100, 8_000_000
"""The most keys of a batch, and the most bytes, by which one key alone may exceed it: outboxes can have 30 MB each."""
_OURS = "gaugepost."  # the prefix of our tasks' names
_BELLS = 200  # no queue has more messages of ours


class Relocation:
    """The move of one region's keys. All methods raise StoreError."""

    def __init__(self, old: redis.Redis, new: redis.Redis, keys: Keys) -> None:
        """Prepare a move of the region from `old` to `new`. If `new` is `old`, it renames the keys as in `keys`."""
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
        """Raise StoreError if the move could send a job twice, or could mix two ledgers."""
        if self._renames and self._source is self._target:
            raise StoreError(
                f"nothing to move: the keys have the names of the namespace already: {self._target.prefix}…"
            )
        with our_errors():
            held = self._old.zcard(self._source["leases"])
            is_taken = self._is_taken()
        if held:
            raise StoreError(
                f"nothing was moved: workers still hold leases of {held} jobs. Stop the region's workers (SIGTERM), "
                "then move it"
            )
        if is_taken:
            raise StoreError("nothing was moved: the target has a ledger of this region already")

    def _is_taken(self) -> bool:
        """Return whether the target has another ledger. Keys that an interrupted move has left there do not count."""
        begun = (self._schema() or b"").startswith(_MOVED)
        has_keys = not begun and any(self._key_names(self._new, self._target))
        if has_keys or self._renames:
            return has_keys
        return find(self._new, self._target)[0] is not self._target or bool(self._new.exists(self._target["schema"]))

    def close(self) -> None:
        """Close the old ledger. Scripts are atomic, so each call has either ended before this or is refused."""
        with our_errors():
            value = self._schema() or b"0"
            if not value.startswith(_MOVED):
                if self._renames:
                    self._old.set(self._target["schema"], _RENAMING + value)
                self._old.set(self._source["schema"], _MOVED + value)

    def names(self) -> list[bytes]:
        """Return the names of the keys to copy. Call it after `close`."""
        return [name for name in self._key_names(self._old, self._source) if name != self._source["schema"].encode()]

    def copy(self, names: Sequence[bytes]) -> Iterator[int]:
        """Copy these keys with their remaining time to live. Yields the number of copied keys after each batch."""
        for start in range(0, len(names), _BATCH):
            for batch in self._by_bytes(names[start : start + _BATCH]):
                with our_errors():
                    self._copy_batch(batch)
                yield len(batch)

    def _by_bytes(self, names: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
        """Split a batch so that this process and the new Redis do not need the memory of all of it at once."""
        if self._renames:
            yield names
            return
        with our_errors(), self._old.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.memory_usage(name)
            sizes = pipe.execute()
        batch: list[bytes] = []
        room = _BATCH_BYTES
        for name, size in zip(names, sizes, strict=True):
            room -= size or 0
            if room < 0 and batch:
                yield batch
                batch, room = [], _BATCH_BYTES - (size or 0)
            batch.append(name)
        yield batch

    def open(self) -> None:
        """Open the new ledger. Call it after all keys are copied."""
        with our_errors():
            value = (self._schema() or b"0").removeprefix(_MOVED)
            self._new.set(self._target["schema"], value)
            older = self._target.older()
            if older is not None:  # else versions that know only the older names would start another ledger
                self._new.set(older["schema"], _MOVED + value)

    def remove_bells(self) -> None:
        """Remove our messages, and no others, from the queues that versions without namespaces used."""
        with our_errors():
            for queue in self._target.older_queues:
                for message in self._old.lrange(queue, 0, _BELLS - 1):
                    if _is_ours(message):
                        self._old.lrem(queue, 1, message)

    def _schema(self) -> bytes | None:
        found: Any = self._old.get(self._source["schema"])
        return None if found is None else bytes(found)

    def _key_names(self, client: Any, keys: Keys) -> Iterator[bytes]:  # noqa: ANN401 - redis-py's commands
        # Bells and ticks are not moved: the ledger and beat send new ones.
        pattern = keys.prefix.replace("[", "\\[") + "*"
        with our_errors():
            yield from dict.fromkeys(client.scan_iter(match=pattern, count=1000))

    def _copy_batch(self, names: Sequence[bytes]) -> None:
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
                if text is not None:  # else the key has expired meanwhile
                    writing.restore(self._renamed(name), max(0, left), text, replace=True)
            writing.execute()

    def _rename(self, names: Sequence[bytes]) -> None:
        with self._old.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.rename(name, self._renamed(name))
            for answer in pipe.execute(raise_on_error=False):
                if isinstance(answer, Exception) and "no such key" not in str(answer):  # that key has expired meanwhile
                    raise answer

    def _renamed(self, name: bytes) -> bytes:
        return self._target.prefix.encode() + name.removeprefix(self._source.prefix.encode())


def _is_ours(message: bytes) -> bool:
    try:
        return bool(json.loads(message)["headers"]["task"].startswith(_OURS))
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
