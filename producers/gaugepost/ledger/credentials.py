"""Calls for the shared access token and for the workers' credentials. The functions return calls; they send nothing.

Workers of a region may have different credentials, while a key is replaced or by mistake. Each worker names its
credential by a fingerprint, which does not reveal it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gaugepost.ledger.scripts import Call
from gaugepost.ledger.settlements import hold_row

if TYPE_CHECKING:
    from gaugepost.keys import Keys
    from gaugepost.transitions import HoldSpec

_COUNTS_MS = {"accepted": 180_000, "refused": 60_000, "": 0}


@dataclass(frozen=True, slots=True)
class SharedToken:
    """The shared access token of a region.

    `sealed`: the encrypted token, empty if there is none. `generation`: number of the token. `left_ms`: ms until it
    ends. `to_fetch`: the caller must fetch a new token. `failure`: why the last fetch failed, encrypted or empty.
    """

    sealed: bytes
    generation: int
    left_ms: int
    to_fetch: bool
    failure: bytes


def token(keys: Keys, who: str, lock_ms: int, fingerprint: str) -> Call[SharedToken]:
    """Read the shared token, or take the lock to fetch one. A repeated call of the lock's owner extends the lock."""
    return Call("token", [keys.prefix], [who, lock_ms, fingerprint], _read_token)


def put_token(keys: Keys, who: str, sealed: bytes, life_ms: int, refresh_ms: int, fingerprint: str) -> Call[int]:
    """Store a fetched token. Return its generation; 0 if the lock was lost or the token of another credential lasts."""
    return Call("token_put", [keys.prefix], [who, sealed, life_ms, refresh_ms, fingerprint], int)


def put_token_failure(keys: Keys, who: str, failure: str, hold: HoldSpec, fingerprint: str) -> Call[int]:
    """Record that a fetch failed, and open a hold; if it is open, schedule its next probe."""
    row = hold_row(hold) | {"request": {"endpoint": "token", "verdict": hold.verdict}}
    return Call("token_failed", [keys.prefix], [who, failure, json.dumps(row), fingerprint], int)


def drop_token(keys: Keys, generation: int) -> Call[bool]:
    """Delete a refused token, unless a newer one is stored."""
    return Call("token_drop", [keys.prefix], [generation], bool)


def note_credential(keys: Keys, need: str, fingerprint: str, answer: Literal["accepted", "refused", ""]) -> Call[bool]:
    """Record the last answer for a credential. Return whether it is refused while another one is accepted."""
    return Call("credential", [keys.prefix], [need, fingerprint, answer, _COUNTS_MS[answer]], bool)


def _read_token(answer: list[bytes]) -> SharedToken:
    sealed, generation, left, to_fetch, failure = answer
    return SharedToken(sealed, int(generation), int(left), to_fetch == b"1", failure)
