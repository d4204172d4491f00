"""Login by any OpenID provider: Flower's login for Okta, with the addresses that the provider itself publishes.

The code goes straight to the provider's token endpoint over TLS, with the client's secret, and the address of the
person comes from its userinfo endpoint: no token that passed through a browser is believed.
"""

from __future__ import annotations

import json
from typing import Any

import structlog
from flower.views.auth import OktaLoginHandler
from tornado.httpclient import AsyncHTTPClient, HTTPError
from tornado.web import HTTPError as Refused

log = structlog.get_logger("gaugepost.flower")

_TROUBLE = (HTTPError, OSError, ValueError, KeyError)  # the provider's, or of the way to it


class OpenIdLogin(OktaLoginHandler):  # type: ignore[misc] # Flower has no types
    """Sends a browser to the provider, and takes who comes back with its word."""

    def initialize(self, issuer: str, *, secure: bool) -> None:
        """Take what the route gives: the provider, and whether Flower is reached over TLS."""
        self._issuer = issuer
        self._secure = secure
        self._found: dict[str, str] = {}

    async def get(self) -> None:
        """Log in, or go to where that is done."""
        try:
            self._found = await self._discover()
            await super().get()
        except _TROUBLE as error:
            log.warning("OpenID login failed", issuer=self._issuer, error=type(error).__name__)
            raise Refused(502, reason="OpenID provider does not answer as it should") from None

    async def _discover(self) -> dict[str, str]:
        answer = await AsyncHTTPClient().fetch(f"{self._issuer}/.well-known/openid-configuration")
        found = json.loads(answer.body)
        if str(found["issuer"]).rstrip("/") != self._issuer:
            raise ValueError("another issuer")
        return {name: str(found[f"{name}_endpoint"]) for name in ("authorization", "token", "userinfo")}

    def set_secure_cookie(self, name: str, value: Any, *more: Any, **options: Any) -> None:  # noqa: ANN401 - Flower's
        """Set a cookie that goes back over TLS only, if that is how it came."""
        super().set_secure_cookie(name, value, *more, **options, secure=self._secure)

    @property
    def _OAUTH_AUTHORIZE_URL(self) -> str:  # noqa: N802 - Flower's names
        return self._found["authorization"]

    @property
    def _OAUTH_ACCESS_TOKEN_URL(self) -> str:  # noqa: N802
        return self._found["token"]

    @property
    def _OAUTH_USER_INFO_URL(self) -> str:  # noqa: N802
        return self._found["userinfo"]
