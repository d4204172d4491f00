"""Access tokens of the front: each stands for a key of the gateway in one region, for an hour.

Redis has only the hash of a token, and the hash of its key: a reader of Redis can make no token. All gateways know all
tokens, because they look them up there. A token is made from the key's secret and the time, so a client that asks for
one at each call gets the same one for five minutes, and Redis stores at most 13 for a key. The rights are those that
the key has now: a revoked key ends its tokens within a second.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from typing import TYPE_CHECKING

from gaugepost_ops.web.callers import digest_of_key

if TYPE_CHECKING:
    from gaugepost.regions import Region
    from gaugepost_ops.web.store import Store

TOKEN_PREFIX = "gpt_"  # noqa: S105 - no secret
TOKEN_S = 3_600
_SAME_FOR_S = 300
_LENGTH = len(TOKEN_PREFIX) + 43
_MOST_KNOWN = 10_000


class Tokens:
    """The tokens of all regions. Only the event loop's thread may use it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[tuple[Region, str], tuple[str, float]] = {}
        """Region and hash of a token → hash of its key, and until when it is valid, monotonic seconds."""

    async def issue(self, region: Region, secret: str) -> str:
        """Return a token for the holder of a key. Raises StoreError."""
        turn = int(time.time() // _SAME_FOR_S)
        text = f"front token of {self._store.settings.namespace} in {region}, turn {turn}"
        made = hmac.digest(secret.encode(), text.encode(), hashlib.sha256)
        token = TOKEN_PREFIX + base64.urlsafe_b64encode(made).decode().rstrip("=")
        calls = self._store.api_keys[region]
        await self._store.run(region, calls.put_token(token, digest_of_key(secret), TOKEN_S * 1_000))
        return token

    async def digest(self, region: Region, token: str) -> str:
        """Return the hash of the key to which a token belongs; "" for one that is not valid. Raises StoreError."""
        if len(token) != _LENGTH or not token.startswith(TOKEN_PREFIX) or not token.isascii():
            return ""
        place = region, hashlib.sha256(token.encode()).hexdigest()
        digest, until = self._known.get(place, ("", 0.0))
        now = time.monotonic()
        if until > now:
            return digest
        self._known.pop(place, None)
        digest, life_ms = await self._store.run(region, self._store.api_keys[region].find_token(token))
        if not digest:
            return ""
        while len(self._known) >= _MOST_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[place] = digest, now + life_ms / 1_000
        return digest
