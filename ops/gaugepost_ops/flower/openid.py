"""Login by any OpenID provider: Flower's login for Okta, with the endpoints that the provider publishes.

The server sends the authorization code to the provider's token endpoint over TLS, with the client secret. It reads the
person's e-mail address from the userinfo endpoint. It never trusts a token that came through a browser.
"""

from __future__ import annotations

import json
from typing import Any

import structlog
from flower.views.auth import OktaLoginHandler
from tornado.httpclient import AsyncHTTPClient, HTTPError
from tornado.web import HTTPError as Refused

log = structlog.get_logger("gaugepost.flower")

_TROUBLE = (HTTPError, OSError, ValueError, KeyError)  # errors of the provider, or of the connection to it


class OpenIdLogin(OktaLoginHandler):  # type: ignore[misc] # Flower has no types
    """Redirects the browser to the provider, and logs the person in when it returns with a code."""

    def initialize(self, issuer: str, *, secure: bool) -> None:
        """Store the route's arguments: the provider's URL, and whether people reach Flower over TLS."""
        self._issuer = issuer
        self._secure = secure
        self._found: dict[str, str] = {}

    async def get(self) -> None:
        """Log the person in, or redirect to the provider. Raises HTTPError(502) if the provider fails."""
        try:
            self._found = await self._discover()
            await super().get()
        except _TROUBLE as error:
            log.warning("OpenID login failed", issuer=self._issuer, error=type(error).__name__)
            raise Refused(502, reason="The OpenID provider failed: see Flower's log") from None

    async def _discover(self) -> dict[str, str]:
        answer = await AsyncHTTPClient().fetch(f"{self._issuer}/.well-known/openid-configuration")
        found = json.loads(answer.body)
        if str(found["issuer"]).rstrip("/") != self._issuer:
            raise ValueError("the provider's document names another issuer")
        return {name: str(found[f"{name}_endpoint"]) for name in ("authorization", "token", "userinfo")}

    def set_secure_cookie(self, name: str, value: Any, *more: Any, **options: Any) -> None:  # noqa: ANN401 - Flower's
        """Set a cookie; if people reach Flower over TLS, browsers return it over TLS only."""
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
