"""Return everything that Redis stores, as bytes: names and values of all keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import redis


def all_values(client: redis.Redis) -> bytes:
    """Return the names and the values of all keys, in lower case."""
    return b"\n".join(_parts(client)).lower()


def marks_in(text: bytes, marks: Iterable[str]) -> list[str]:
    """Return the marks that a text has, in upper or lower case."""
    text = text.lower()
    return [mark for mark in marks if mark.lower().encode() in text]


def _parts(client: Any) -> Iterator[bytes]:
    for name in sorted(client.keys()):
        yield name
        match client.type(name):
            case b"hash":
                yield from (part for pair in client.hgetall(name).items() for part in pair)
            case b"string":
                yield client.get(name) or b""
            case b"list":
                yield from client.lrange(name, 0, -1)
            case b"set":
                yield from client.smembers(name)
            case b"zset":
                yield from client.zrange(name, 0, -1)
            case b"stream":
                yield from (part for _, row in client.xrange(name) for pair in row.items() for part in pair)
            case b"none":  # it has expired, or a process deleted it
                continue
            case kind:
                raise AssertionError(kind)
