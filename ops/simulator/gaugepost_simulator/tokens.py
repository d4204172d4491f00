"""OAuth2 access tokens. A token is valid in one region only."""

import secrets
import time
from collections import Counter


class Tokens:
    """The issued tokens that are not revoked."""

    def __init__(self) -> None:
        self.issued: Counter[str] = Counter()
        self._expiry: dict[tuple[str, str], float] = {}

    def issue(self, region: str, lifetime: float) -> str:
        """Issue a new token. ``lifetime``: in seconds."""
        self._forget_expired()
        token = secrets.token_urlsafe(32)
        self._expiry[region, token] = time.time() + lifetime
        self.issued[region] += 1
        return token

    def valid(self, region: str, token: str) -> bool:
        """Return whether a token is valid in a region now."""
        return self._expiry.get((region, token), 0.0) > time.time()

    def revoke(self, region: str | None) -> int:
        """Revoke all tokens of a region, or of all regions. Return how many there were."""
        gone = [key for key in self._expiry if region in (None, key[0])]
        for key in gone:
            del self._expiry[key]
        return len(gone)

    def _forget_expired(self) -> None:
        now = time.time()
        for key in [key for key, expiry in self._expiry.items() if expiry <= now]:
            del self._expiry[key]
