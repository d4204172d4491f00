"""Moves a region to another Redis: closes its ledger where it is, copies every key, opens it where it is now.

Closed, the old ledger refuses every script, so no process with the old URL can accept a job that is left behind. All
steps may be repeated, so a move that was cut is taken up by another call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gaugepost.errors import StoreError
from gaugepost.ledger.scripts import our_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import redis

    from gaugepost.keys import Keys

_MOVED = b"moved "
_AT_ONCE = 100


class Move:
    """The move of one region's keys. All calls raise StoreError."""

    def __init__(self, old: redis.Redis, new: redis.Redis, keys: Keys) -> None:
        self._old = old
        self._new = new
        self._keys = keys
        self._schema = keys["schema"]

    def check(self) -> None:
        """Refuse a move that would double a job, or mix two ledgers. Raises StoreError."""
        with our_errors():
            held: Any = self._old.zcard(self._keys["leases"])
            there: Any = self._new.get(self._schema)
            begun = (self._value() or b"").startswith(_MOVED)
        if held:
            raise StoreError(f"{held} jobs are in workers' hands: end the region's workers first (SIGTERM), then move")
        if there is not None or (not begun and any(self._all(self._new))):
            raise StoreError("there is a ledger of this region already where it is to go")

    def close(self) -> None:
        """Close the old ledger; what was in the middle of a call has been, or is refused."""
        with our_errors():
            value = self._value() or b"0"
            if not value.startswith(_MOVED):
                self._old.set(self._schema, _MOVED + value)

    def names(self) -> list[bytes]:
        """Return the keys there are to copy, once the old ledger is closed."""
        return [name for name in self._all(self._old) if name != self._schema.encode()]

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
            self._new.set(self._schema, value)

    def _value(self) -> bytes | None:
        found: Any = self._old.get(self._schema)
        return None if found is None else bytes(found)

    def _all(self, client: redis.Redis) -> Iterator[bytes]:
        # Bells and ticks stay: workers and beat ring anew.
        pattern = self._keys.prefix.replace("[", "\\[") + "*"
        with our_errors():
            yield from dict.fromkeys(client.scan_iter(match=pattern, count=1000))

    def _put(self, names: Sequence[bytes]) -> None:
        with self._old.pipeline(transaction=False) as reading:
            for name in names:
                reading.dump(name)
                reading.pttl(name)
            answers = reading.execute()
        with self._new.pipeline(transaction=False) as writing:
            for name, text, left in zip(names, answers[::2], answers[1::2], strict=True):
                if text is not None:  # else its time was over meanwhile
                    writing.restore(name, max(0, left), text, replace=True)
            writing.execute()
