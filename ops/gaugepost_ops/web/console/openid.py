"""Sign-in by any OpenID provider: authorization code with PKCE, state and nonce; the role comes from a claim.

The provider's token is checked by its published keys: signature, issuer, audience, time and nonce.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from urllib.parse import urlencode

import requests
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from gaugepost.ledger.users import Role

if TYPE_CHECKING:
    from gaugepost.settings import Settings

TIMEOUT_S = 10.0
_ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"]
_LEEWAY_S = 60


class ProviderFailed(Exception):  # noqa: N818 - it ends a sign-in
    """The provider failed, or its answer is not for this sign-in. The text is for the log, and has no secret."""


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
    """The provider of the settings. Its methods wait for the provider: call them in a thread."""

    def __init__(self, settings: Settings) -> None:
        self._issuer = str(settings.console_oidc_issuer)
        self._id = str(settings.console_oidc_client_id)
        secret = settings.console_oidc_client_secret
        self._secret = "" if secret is None else secret.get_secret_value()
        self._claim = settings.console_oidc_claim
        self._roles = settings.console_oidc_roles
        self._back = f"{settings.console_url}/sign-in/openid/back"

    def address(self, attempt: Attempt) -> str:
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
        return f"{self._discover()['authorization_endpoint']}?{urlencode(asked)}"

    def person(self, attempt: Attempt, code: str) -> Person:
        """Return who signed in, by the code with which the browser came back. Raises ProviderFailed."""
        found = self._discover()
        session: Any = OAuth2Session(self._id, self._secret, redirect_uri=self._back)  # Authlib has no types
        try:
            with session:
                token = session.fetch_token(
                    found["token_endpoint"], code=code, code_verifier=attempt.verifier, timeout=TIMEOUT_S
                )
            return self._read(token["id_token"], attempt, _json(found["jwks_uri"]))
        except (AuthlibBaseError, JoseError, requests.RequestException, KeyError, ValueError) as error:
            raise ProviderFailed(type(error).__name__) from None

    def _read(self, id_token: str, attempt: Attempt, keys: dict[str, Any]) -> Person:
        claims = jwt.decode(id_token, KeySet.import_key_set(cast("Any", keys)), algorithms=_ALGORITHMS).claims
        needed = {"iss": self._issuer, "aud": self._id, "nonce": attempt.nonce}
        options: dict[str, Any] = {name: {"essential": True, "value": value} for name, value in needed.items()}
        jwt.JWTClaimsRegistry(leeway=_LEEWAY_S, **options, exp={"essential": True}, sub={"essential": True}).validate(
            claims
        )
        verified = claims.get("email") if claims.get("email_verified") else None
        return Person(str(verified or claims["sub"])[:64], self._role(claims.get(self._claim)))

    def _role(self, values: object) -> Role | None:
        """Return the highest role that a value of the claim gives."""
        given = [values] if isinstance(values, str) else values if isinstance(values, list) else []
        roles = [Role(self._roles[one]) for one in given if isinstance(one, str) and one in self._roles]
        return max(roles, key=list(Role).index, default=None)

    def _discover(self) -> dict[str, Any]:
        found = _json(f"{self._issuer}/.well-known/openid-configuration")
        if str(found.get("issuer", "")).rstrip("/") != self._issuer:
            raise ProviderFailed("the provider's document names another issuer")
        return found


def _json(url: str) -> dict[str, Any]:
    try:
        answer = requests.get(url, timeout=TIMEOUT_S, allow_redirects=False)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
    except (requests.RequestException, ValueError) as error:
        raise ProviderFailed(type(error).__name__) from None
    return found
