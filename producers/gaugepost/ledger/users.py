"""Users of the console: who may sign in, and in which role. Redis has the hash of a password, never the password.

A user is stored in every region, so that people can sign in while a region's Redis is away. A session and a one-time
link are in one region alone: so it is certain that they have ended.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv6Address, ip_address
from typing import TYPE_CHECKING, Any

from gaugepost.ledger.api_keys import digest_of
from gaugepost.ledger.holds import iso
from gaugepost.ledger.scripts import Call

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gaugepost.keys import Keys
    from gaugepost.ledger.scripts import Runner

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")
STRANGER = "unknown name"
"""In the audit trail: people whom neither the ledger nor a provider knows. It is the name of no person."""
IDLE_MS = 12 * 3_600_000
"""A session ends when nobody has used it for so long. Updates of an open page are no use."""
LIFE_MS = 7 * 86_400_000
"""A session ends at this age."""
PROVIDER_LIFE_MS = 12 * 3_600_000
"""The same for a person of an OpenID provider: the console learns of a changed group only at the next sign-in."""
FREE_OF_NAME = 3
FREE_OF_ADDRESS = 20
"""Failed attempts to sign in that do not have to wait."""


class Role(StrEnum):
    """What a user may do in the console. Each role may do what those before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"

    def may(self, needed: Role) -> bool:
        """Return whether this role may do what `needed` may."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True, slots=True)
class User:
    """A user of the console. `password`: its hash by argon2. `created`: Unix ms."""

    name: str
    role: Role
    password: str = field(repr=False)
    created: int = 0
    by: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the row of `gaugepost users list --json`."""
        return {
            "name": self.name,
            "role": str(self.role),
            "created_at": iso(self.created),
            "created_by": self.by,
        }

    def to_json(self) -> str:
        """Return the JSON that Redis stores."""
        row = {"password": self.password, "role": self.role, "created": self.created, "by": self.by}
        return json.dumps(row)

    @classmethod
    def read(cls, name: str, text: bytes) -> User:
        """Parse what `to_json` wrote. A role of a newer version is read as viewer."""
        row = json.loads(text)
        role = Role(row["role"]) if row["role"] in set(Role) else Role.VIEWER
        return cls(name, role, row["password"], row.get("created", 0), row.get("by", ""))


@dataclass(frozen=True, slots=True)
class Session:
    """Whose session it is, and in which role, as the user or the provider says now."""

    name: str
    role: Role


class UserCalls:
    """Make the calls for the users of one region and their sessions. Ids of sessions and links go in as hashes."""

    def __init__(self, keys: Keys) -> None:
        self._prefix = (keys.prefix,)

    def put(self, user: User, *, replace: bool = False) -> Call[bool]:
        """Store a new user; or replace one, which ends its sessions and links. False: the name is taken, or absent."""
        how = "replace" if replace else "new"
        return Call("user_put", self._prefix, [user.name, user.to_json(), how, LIFE_MS, _hashed(user.name)], bool)

    def drop(self, name: str) -> Call[bool]:
        """Remove a user and end all sessions and links; False if there is none of this name."""
        return Call("user_drop", self._prefix, [name, LIFE_MS, _hashed(name)], bool)

    def read(self) -> Call[tuple[User, ...]]:
        """Read all users."""
        return Call("users_read", self._prefix, [], _read_users)

    def sign_out(self, name: str) -> Call[bool]:
        """End all sessions and links of a person in this region."""
        return Call("sign_out", self._prefix, [_hashed(name), LIFE_MS], bool)

    def put_link(self, link: str, name: str, life_ms: int) -> Call[bool]:
        """Store a one-time link; False if there is no user of this name."""
        return Call("sign_in_link", self._prefix, [digest_of(link), name, life_ms, _hashed(name)], bool)

    def user_of_link(self, link: str) -> Call[str]:
        """Return the name of the user whom a link signs in; "" if it is not valid."""
        return Call("sign_in_link_read", self._prefix, [digest_of(link)], bytes.decode)

    def start(
        self, session: str, name: str = "", *, role: Role | None = None, link: str = "", password: str = ""
    ) -> Call[str]:
        """Start a session: of a user, of a person whose role a provider says, or of the user of a link.

        `password`: the hash that was checked. Return the name; "" if the link is not valid, the user does not exist any
        more or has another password now, or a person of a provider has the name of a user.
        """
        who = [name, "" if role is None else str(role), digest_of(link) if link else ""]
        life = LIFE_MS if role is None else PROVIDER_LIFE_MS
        given: list[str | int] = [digest_of(session), *who, IDLE_MS, life, password, _hashed(name)]
        return Call("session_put", self._prefix, given, bytes.decode)

    def sessions(self, sessions: Sequence[str], *, is_use: bool) -> Call[list[Session | None]]:
        """Return sessions; None for one that has ended. `is_use`: people use them, so their idle time begins anew."""
        given = [IDLE_MS if is_use else "", *map(digest_of, sessions)]
        return Call("session_read", self._prefix, given, lambda answer: [_read_session(one) for one in answer])

    def end(self, session: str) -> Call[bool]:
        """End a session; False if it has ended before."""
        return Call("session_drop", self._prefix, [digest_of(session)], bool)

    def try_sign_in(self, name: str, address: str) -> Call[int]:
        """Count an attempt. Return 0, or in how many ms the next one may come."""
        of_name, of_address = _tries(name, address)
        return Call("sign_in_try", self._prefix, [of_name, FREE_OF_NAME, of_address, FREE_OF_ADDRESS], int)

    def sign_in_worked(self, name: str, address: str) -> Call[bool]:
        """Forget the failures of a name."""
        return Call("sign_in_worked", self._prefix, list(_tries(name, address)), bool)


def _hashed(name: str) -> str:
    """Return the hash of a person's name, by which Redis knows when all sessions of the person were ended."""
    return digest_of(f"person {name}")


def _tries(name: str, address: str) -> tuple[str, str]:
    return digest_of(f"name {name}"), digest_of(f"address {_network_of(address)}")


def _network_of(address: str) -> str:
    """Return the network of 64 bits of an IPv6 address, because one person has all its addresses; else the address."""
    with suppress(ValueError):
        ip = ip_address(address)
        if isinstance(ip, IPv6Address):
            return str(ip.ipv4_mapped or IPv6Address(int(ip) >> 64 << 64))
    return address


def _read_users(answer: Sequence[bytes]) -> tuple[User, ...]:
    found = (User.read(name.decode(), text) for name, text in zip(answer[::2], answer[1::2], strict=True))
    return tuple(sorted(found, key=lambda user: user.name))


def _read_session(answer: Sequence[bytes]) -> Session | None:
    if not answer:
        return None
    name, role, user = answer[0].decode(), answer[1].decode(), answer[2]
    if role:
        return Session(name, Role(role) if role in set(Role) else Role.VIEWER)
    return Session(name, User.read(name, user).role)


class Users:
    """The users of one region, for operators. All calls raise the StoreErrors of errors.py."""

    def __init__(self, run: Runner, keys: Keys) -> None:
        self._run = run
        self._calls = UserCalls(keys)

    def put(self, user: User, *, replace: bool = False) -> bool:
        """Store a new user, or replace one. False: the name is taken, or absent."""
        return self._run(self._calls.put(user, replace=replace))

    def drop(self, name: str) -> bool:
        """Remove a user and end all sessions; False if there is none of this name."""
        return self._run(self._calls.drop(name))

    def read(self) -> tuple[User, ...]:
        """Return all users."""
        return self._run(self._calls.read())

    def sign_out(self, name: str) -> None:
        """End all sessions of a person in this region."""
        self._run(self._calls.sign_out(name))

    def put_link(self, link: str, name: str, life_ms: int) -> bool:
        """Store a one-time link; False if there is no user of this name."""
        return self._run(self._calls.put_link(link, name, life_ms))
