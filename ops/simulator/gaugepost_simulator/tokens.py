"""OAuth2 access tokens, one pool a region: a token of one region is worth nothing in another."""

import secrets
import time
from collections import Counter


class Tokens:
    """Tokens that were given out and have not been revoked."""

    def __init__(self) -> None:
        self.issued: Counter[str] = Counter()
        self._expiry: dict[tuple[str, str], float] = {}

    def issue(self, region: str, lifetime: float) -> str:
        """Give out a fresh token that lives ``lifetime`` seconds."""
        self._forget_expired()
        token = secrets.token_urlsafe(32)
        self._expiry[region, token] = time.time() + lifetime
        self.issued[region] += 1
        return token

    def valid(self, region: str, token: str) -> bool:
        """Tell whether the region takes a token now."""
        return self._expiry.get((region, token), 0.0) > time.time()

    def revoke(self, region: str | None) -> int:
        """Make all tokens of a region (or of all) invalid; returns how many there were."""
        gone = [key for key in self._expiry if region in (None, key[0])]
        for key in gone:
            del self._expiry[key]
        return len(gone)

    def _forget_expired(self) -> None:
        now = time.time()
        for key in [key for key, expiry in self._expiry.items() if expiry <= now]:
            del self._expiry[key]
