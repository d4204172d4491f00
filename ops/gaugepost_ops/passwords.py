"""Hash and check the passwords of the console's users by argon2 (the profile of RFC 9106 for little memory)."""

from __future__ import annotations

import secrets
from functools import cache

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST = 12
LONGEST = 200

_HASHER = argon2.PasswordHasher.from_parameters(argon2.profiles.RFC_9106_LOW_MEMORY)


def hash_password(password: str) -> str:
    """Return the hash of a password, with its parameters and its salt."""
    return _HASHER.hash(password)


def is_password(stored: str | None, password: str) -> bool:
    """Return whether a password fits a hash. Without a hash it takes as long, and is False."""
    try:
        return _HASHER.verify(stored or _of_no_user(), password) and stored is not None
    except (VerificationError, InvalidHashError):
        return False


@cache
def _of_no_user() -> str:
    return _HASHER.hash(secrets.token_urlsafe())
