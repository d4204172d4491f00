"""Keys of the HTTP gateway: who may call it, and what for. Redis has the hash of a key's secret, never the secret.

A key is stored in each region in which it is valid, so that a region's Redis alone decides about it.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from gaugepost.ledger.holds import iso
from gaugepost.ledger.scripts import Call

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gaugepost.keys import Keys
    from gaugepost.ledger.scripts import Runner

KEY_PREFIX = "gp_"
_SECRET_BYTES = 32
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
MOST_PER_SECOND = 100_000


class Scope(StrEnum):
    """What a key may do."""

    ENQUEUE = "enqueue"
    READ = "read"
    OPERATE = "operate"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key of the gateway. `digest`: the hash of its secret. `rate`: requests a second. Times are Unix ms."""

    name: str
    digest: str
    scopes: tuple[Scope, ...]
    regions: tuple[str, ...]
    source: str | None = None
    expires: int | None = None
    rate: int | None = None
    created: int = 0
    by: str = ""
    used: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the row of `gaugepost keys list --json`."""
        return {
            "name": self.name,
            "scopes": [str(scope) for scope in self.scopes],
            "regions": list(self.regions),
            "source": self.source,
            "expires_at": iso(self.expires),
            "rate": self.rate,
            "created_at": iso(self.created),
            "created_by": self.by,
            "last_used_at": iso(self.used),
        }

    def to_json(self) -> str:
        """Return the JSON that Redis stores."""
        row = {
            "hash": self.digest,
            "scopes": self.scopes,
            "regions": self.regions,
            "source": self.source,
            "expires": self.expires,
            "rate": self.rate,
            "created": self.created,
            "by": self.by,
        }
        return json.dumps({name: value for name, value in row.items() if value is not None})

    @classmethod
    def read(cls, name: str, text: bytes, used: int | None) -> ApiKey:
        """Parse what `to_json` wrote. It ignores fields and scopes of a newer version."""
        row = json.loads(text)
        known = frozenset(Scope)
        return cls(
            name=name,
            digest=row["hash"],
            scopes=tuple(Scope(scope) for scope in row["scopes"] if scope in known),
            regions=tuple(row["regions"]),
            source=row.get("source"),
            expires=row.get("expires"),
            rate=row.get("rate"),
            created=row.get("created", 0),
            by=row.get("by", ""),
            used=used,
        )


def new_secret() -> str:
    """Return a new key as its holder sends it: 256 random bits behind `gp_`."""
    return KEY_PREFIX + secrets.token_urlsafe(_SECRET_BYTES)


def digest_of(secret: str) -> str:
    """Return the hash by which a key is stored and found. A secret of 256 bits needs no slow hash."""
    return hashlib.sha256(secret.encode(errors="surrogateescape")).hexdigest()


@dataclass(frozen=True, slots=True)
class KeysRead:
    """The keys of a region, and the time of its Redis in ms."""

    now: int
    keys: tuple[ApiKey, ...]

    def valid(self) -> list[ApiKey]:
        """Return the keys that have not expired."""
        return [key for key in self.keys if key.expires is None or key.expires > self.now]


class ApiKeyCalls:
    """Make the calls for the keys of one region."""

    def __init__(self, keys: Keys) -> None:
        self._prefix = (keys.prefix,)

    def put(self, key: ApiKey) -> Call[bool]:
        """Store a new key; False if another key has its name."""
        return Call("api_key_put", self._prefix, [key.name, key.to_json()], bool)

    def drop(self, name: str) -> Call[bool]:
        """Revoke a key; False if there is none of this name."""
        return Call("api_key_drop", self._prefix, [name], bool)

    def read(self, used: Sequence[str] = ()) -> Call[KeysRead]:
        """Read all keys. `used`: names of keys that were used since the last call."""
        return Call("api_keys_read", self._prefix, list(used), _read_keys)

    def count(self, key: ApiKey, rate: int) -> Call[int]:
        """Count a request of a key; return 0, or in how many ms the next request may come."""
        return Call("api_rate", self._prefix, [key.digest, rate], int)

    def put_token(self, token: str, digest: str, life_ms: int) -> Call[bool]:
        """Store an access token for the key with this digest. Redis has only the hash of the token."""
        return Call("front_token_put", self._prefix, [digest_of(token), digest, life_ms], bool)

    def find_token(self, token: str) -> Call[tuple[str, int]]:
        """Return the digest of the key to which an access token belongs ("": none), and its remaining life in ms."""
        return Call("front_token_read", self._prefix, [digest_of(token)], lambda found: (found[0].decode(), found[1]))

    def ready(self) -> Call[bool]:
        """Try a write. Raises StoreFull if Redis accepts none."""
        return Call("api_ready", self._prefix, [], bool)


def _read_keys(answer: Sequence[Any]) -> KeysRead:
    now, keys, uses = answer
    used = {name: int(at) for name, at in zip(uses[::2], uses[1::2], strict=True)}
    found = zip(keys[::2], keys[1::2], strict=True)
    return KeysRead(int(now), tuple(ApiKey.read(name.decode(), text, used.get(name)) for name, text in found))


class ApiKeys:
    """The gateway's keys of one region, for operators. All calls raise the StoreErrors of errors.py."""

    def __init__(self, run: Runner, keys: Keys) -> None:
        self._run = run
        self._calls = ApiKeyCalls(keys)

    def put(self, key: ApiKey) -> bool:
        """Store a new key; False if another key has its name."""
        return self._run(self._calls.put(key))

    def drop(self, name: str) -> bool:
        """Revoke a key; False if there is none of this name."""
        return self._run(self._calls.drop(name))

    def read(self) -> KeysRead:
        """Return all keys, expired ones too."""
        return self._run(self._calls.read())
