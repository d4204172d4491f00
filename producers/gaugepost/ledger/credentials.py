"""Calls about the shared access token, and about the credentials that workers have. Values only.

Workers of one region may have different credentials, while a key is being replaced or by mistake. Each names its own by
a fingerprint, from which the credential cannot be computed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gaugepost.ledger.scripts import Call
from gaugepost.ledger.worker_calls import hold_row

if TYPE_CHECKING:
    from gaugepost.keys import Keys
    from gaugepost.transitions import HoldSpec

_COUNTS_MS = {"accepted": 180_000, "refused": 60_000, "": 0}


@dataclass(frozen=True, slots=True)
class SharedToken:
    """What Redis knows of the shared token. `sealed` is empty when there is none; `to_fetch`: the caller fetches."""

    sealed: bytes
    generation: int
    left_ms: int
    to_fetch: bool
    failure: bytes


def token(keys: Keys, who: str, lock_ms: int, fingerprint: str) -> Call[SharedToken]:
    """Read the shared token, or be the one who fetches it; called again meanwhile, it prolongs the lock."""
    return Call("token", [keys.prefix], [who, lock_ms, fingerprint], _read_token)


def put_token(keys: Keys, who: str, sealed: bytes, life_ms: int, refresh_ms: int, fingerprint: str) -> Call[int]:
    """Share a fetched token; gives its generation, 0 if it came too late or another credential's still lasts."""
    return Call("token_put", [keys.prefix], [who, sealed, life_ms, refresh_ms, fingerprint], int)


def put_token_failure(keys: Keys, who: str, failure: str, hold: HoldSpec, fingerprint: str) -> Call[int]:
    """Share that a token could not be had, and open its hold, or move it on."""
    row = hold_row(hold) | {"request": {"endpoint": "token", "verdict": hold.verdict}}
    return Call("token_failed", [keys.prefix], [who, failure, json.dumps(row), fingerprint], int)


def drop_token(keys: Keys, generation: int) -> Call[bool]:
    """Drop the shared token that was refused, unless a newer one has come meanwhile."""
    return Call("token_drop", [keys.prefix], [generation], bool)


def note_credential(keys: Keys, need: str, fingerprint: str, answer: Literal["accepted", "refused", ""]) -> Call[bool]:
    """Note the last answer about a credential; gives whether it is refused while that of another is accepted."""
    return Call("credential", [keys.prefix], [need, fingerprint, answer, _COUNTS_MS[answer]], bool)


def _read_token(answer: list[bytes]) -> SharedToken:
    sealed, generation, left, to_fetch, failure = answer
    return SharedToken(sealed, int(generation), int(left), to_fetch == b"1", failure)
