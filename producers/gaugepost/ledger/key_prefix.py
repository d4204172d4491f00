"""Find the names of a region's keys, for code that reads keys outside of scripts. Scripts do the same themselves.

The keys of versions without namespaces have other names; see `Keys.older`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gaugepost.ledger.scripts import our_errors

if TYPE_CHECKING:
    import redis

    from gaugepost.keys import Keys


def find(client: redis.Redis, keys: Keys) -> tuple[Keys, bool]:
    """Return the region's keys as they are named in this Redis, and whether the names can no longer change.

    The ledger of a version without namespaces keeps its old names until `gaugepost move`. Raises StoreError.
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


class CurrentKeys:
    """The keys of one region. Each use asks Redis for their names, until these can no longer change."""

    def __init__(self, client: redis.Redis, keys: Keys) -> None:
        self._client: Any = client
        self._keys = keys
        self._is_known = False

    @property
    def prefix(self) -> str:
        """The prefix with which scripts are called: they find the current names themselves."""
        return self._keys.prefix

    def keys(self) -> Keys:
        """Return the keys by their current names. Raises StoreError."""
        if self._is_known:
            return self._keys
        found, self._is_known = find(self._client, self._keys)
        return found
