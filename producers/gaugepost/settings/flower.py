"""Settings of Flower: job events, and who may log in."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import AfterValidator, Field, SecretStr, model_validator

from gaugepost.settings.group import PREFIX, Group
from gaugepost.settings.types import UrlTemplate

_USER = re.compile(r"[!-+.-9;-~-]+:[!-+.-~-]+")
_ADDRESS = re.compile(r"(?:\.\*|[\w.+-]+)@[\w.-]+")


def _users(secret: SecretStr) -> SecretStr:
    if not all(_USER.fullmatch(user) for user in secret.get_secret_value().split(",")):
        raise ValueError("expected name:password in printable ASCII; separate several by commas")
    return secret


def _addresses(text: str) -> str:
    if not all(_ADDRESS.fullmatch(address) for address in text.split("|")) or ("*" in text and "|" in text):
        raise ValueError("expected .*@your-domain, or addresses separated by |")
    return text


class FlowerSettings(Group):
    """Flower: job events and logins."""

    events: Annotated[bool, Field(description="`off`: workers send no job events to [Flower](docs/flower.md)")] = True
    flower_basic_auth: Annotated[
        Annotated[SecretStr, AfterValidator(_users)] | None,
        Field(description="logins of [Flower](docs/flower.md): `name:password`, several separated by commas"),
    ] = None
    flower_oidc_issuer: Annotated[
        UrlTemplate | None,
        Field(description="issuer URL of the OpenID provider for logins, instead of `FLOWER_BASIC_AUTH`"),
    ] = None
    flower_oidc_client_id: Annotated[str | None, Field(description="Flower's client id at that provider")] = None
    flower_oidc_client_secret: Annotated[SecretStr | None, Field(description="secret of that client")] = None
    flower_oidc_users: Annotated[
        Annotated[str, AfterValidator(_addresses)] | None,
        Field(description="verified addresses that may log in: `.*@example.com`, or addresses separated by `\\|`"),
    ] = None
    flower_url: Annotated[
        UrlTemplate | None,
        Field(description="URL of Flower for its users; after a login the provider redirects to `/login` there"),
    ] = None

    @model_validator(mode="after")
    def _check_login(self) -> Self:
        """Refuse an incomplete login: Flower would refuse or admit every user."""
        names = ("flower_oidc_issuer", "flower_oidc_client_id", "flower_oidc_client_secret", "flower_oidc_users")
        given = [name for name in names if getattr(self, name)]
        if given and self.flower_basic_auth:
            raise ValueError(f"flower_basic_auth: set it or {PREFIX}FLOWER_OIDC_…, not both")
        for name in (*names, "flower_url"):
            if given and not getattr(self, name):
                raise ValueError(f"{name}: needed with {PREFIX}{given[0].upper()}")
        return self
