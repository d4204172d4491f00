"""Under which names a region's ledger lies: for what reads its keys outside of scripts, which see to it themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gaugepost.ledger.scripts import our_errors

if TYPE_CHECKING:
    import redis

    from gaugepost.keys import Keys


def find(client: redis.Redis, keys: Keys) -> tuple[Keys, bool]:
    """Return the keys as they are named in this Redis, and whether that is for good. Raises StoreError.

    The ledger of a version without namespaces keeps its names until `gaugepost move` gives it those of the namespace.
    """
    older = keys.older()
    if older is None:
        return keys, True
    with our_errors(), client.pipeline(transaction=False) as pipe:
        for name in (keys["schema"], keys["stamp"], older["schema"], older["stamp"]):
            pipe.get(name)
        schema, stamp, *before = pipe.execute()
    is_older = schema is None and stamp is None and any(one is not None for one in before)
    return (older if is_older else keys), schema is not None


class Place:
    """The keys of one region, asked for until they have the names of the namespace."""

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._client: Any = client
        self._keys = keys
        self._is_known = False

    def keys(self) -> Keys:
        """Return the keys as they are named now. Raises StoreError."""
        if self._is_known:
            return self._keys
        found, self._is_known = find(self._client, self._keys)
        return found
