"""Sign-in by any OpenID provider: authorization code with PKCE, state and nonce; the role comes from a claim.

The provider's token is checked by its published keys: signature, issuer, audience, time and nonce. `openid_calls.py`
asks the provider.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from urllib.parse import urlencode

from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from gaugepost.ledger.users import STRANGER, Role
from gaugepost_ops.web.console.openid_calls import ProviderCalls, ProviderFailed, in_thread

if TYPE_CHECKING:
    from gaugepost.settings import Settings

LONGEST_NAME = 200
"""The audit trail keeps so much of a name."""
_ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"]
_LEEWAY_S = 60
_UNREADABLE = (JoseError, KeyError, TypeError, ValueError, RecursionError)


class Attempt(NamedTuple):
    """One attempt to sign in. The browser keeps it in a cookie that no script and no other site can read or set."""

    state: str
    nonce: str
    verifier: str
    next: str

    @classmethod
    def new(cls, wanted: str) -> Attempt:
        """Return an attempt that leads to a path afterwards."""
        return cls(secrets.token_urlsafe(24), secrets.token_urlsafe(24), secrets.token_urlsafe(48), wanted)


class Person(NamedTuple):
    """Who signed in; `role` is None if no value of the claim gives one."""

    name: str
    role: Role | None


class OpenId:
    """The provider of the settings. A process has one."""

    def __init__(self, settings: Settings) -> None:
        self._calls = ProviderCalls(str(settings.console_oidc_issuer))
        self._id = str(settings.console_oidc_client_id)
        secret = settings.console_oidc_client_secret
        self._secret = "" if secret is None else secret.get_secret_value()
        self._claim = settings.console_oidc_claim
        self._roles = settings.console_oidc_roles
        self._back = f"{settings.console_url}/sign-in/openid/back"

    async def address(self, attempt: Attempt) -> str:
        """Return the address at the provider to which the browser goes. Raises ProviderFailed."""
        asked = {
            "response_type": "code",
            "client_id": self._id,
            "redirect_uri": self._back,
            "scope": "openid email profile",
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": create_s256_code_challenge(attempt.verifier),
            "code_challenge_method": "S256",
        }
        found = self._calls.kept_document()
        if found is None:
            found = await in_thread(self._calls.document)
        address = found["authorization_endpoint"]
        return f"{address}{'&' if '?' in address else '?'}{urlencode(asked)}"

    async def person(self, attempt: Attempt, code: str) -> Person:
        """Return who signed in, by the code with which the browser came back. Raises ProviderFailed."""
        return await in_thread(self._person, attempt, code)

    def _person(self, attempt: Attempt, code: str) -> Person:
        asked = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._back,
            "code_verifier": attempt.verifier,
        }
        issuer = self._calls.document()["issuer"]
        answer = self._calls.token(asked, self._id, self._secret)
        try:
            return self._read(str(answer["id_token"]), attempt, issuer)
        except _UNREADABLE as error:
            raise ProviderFailed(type(error).__name__) from None

    def _read(self, id_token: str, attempt: Attempt, issuer: str) -> Person:
        try:
            claims = _decode(id_token, self._calls.keys())
        except _UNREADABLE:  # perhaps the provider has signed it with a newer key
            claims = _decode(id_token, self._calls.keys(fresh=True))
        needed = {"iss": issuer, "aud": self._id, "nonce": attempt.nonce}
        options: dict[str, Any] = {name: {"essential": True, "value": value} for name, value in needed.items()}
        jwt.JWTClaimsRegistry(leeway=_LEEWAY_S, **options, exp={"essential": True}, sub={"essential": True}).validate(
            claims
        )
        return Person(_name_of(claims), self._role(claims.get(self._claim)))

    def _role(self, values: object) -> Role | None:
        """Return the highest role that a value of the claim gives."""
        given = [values] if isinstance(values, str) else values if isinstance(values, list) else []
        roles = [Role(self._roles[one]) for one in given if isinstance(one, str) and one in self._roles]
        return max(roles, key=list(Role).index, default=None)


def _decode(id_token: str, keys: dict[str, Any]) -> dict[str, Any]:
    return jwt.decode(id_token, KeySet.import_key_set(cast("Any", keys)), algorithms=_ALGORITHMS).claims


def _name_of(claims: dict[str, Any]) -> str:
    """Return the verified address, or else the provider's id. A name that would be cut could be that of another."""
    verified = claims.get("email") if claims.get("email_verified") is True else None
    name = verified or claims["sub"]
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name.strip()) == len(name) <= LONGEST_NAME:
        raise ProviderFailed(f"the person has no name of 1 to {LONGEST_NAME} printable characters")
    if name == STRANGER:
        raise ProviderFailed(f"the person has the name {STRANGER!r}, which the audit trail uses for strangers")
    return name
