"""Settings of the console: under which URL people reach it, and the OpenID provider that signs them in."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import NoDecode

from gaugepost.settings.group import PREFIX, Group
from gaugepost.settings.types import UrlTemplate

ROLES = ("viewer", "operator", "admin")


def _roles(value: object) -> object:
    """Parse `value=role,value=role`."""
    if not isinstance(value, str):
        return value
    pairs = [one.strip().rpartition("=") for one in value.split(",") if one.strip()]
    if not all(name and role in ROLES for name, _, role in pairs):
        raise ValueError(f"expected value=role, separated by commas; roles are {', '.join(ROLES)}")
    return {name: role for name, _, role in pairs}


class ConsoleSettings(Group):
    """The console: its URL, and sign-in by an OpenID provider."""

    console_url: Annotated[
        UrlTemplate | None,
        Field(
            description="URL of the [console](docs/console.md) for its users, such as `https://gaugepost.example.com`. "
            "`users link` prints it, and sessions behind it need TLS"
        ),
    ] = None
    console_oidc_issuer: Annotated[
        UrlTemplate | None, Field(description="issuer URL of the OpenID provider that signs people in to the console")
    ] = None
    console_oidc_client_id: Annotated[str | None, Field(description="the console's client id at that provider")] = None
    console_oidc_client_secret: Annotated[SecretStr | None, Field(description="secret of that client")] = None
    console_oidc_claim: Annotated[
        str, Field(min_length=1, description="claim of the provider's token that has groups or roles of the person")
    ] = "groups"
    console_oidc_roles: Annotated[
        dict[str, str],
        NoDecode,
        BeforeValidator(_roles),
        Field(description="which value of that claim gives which role: `it-ops=operator,it-leads=admin`"),
    ] = {}  # noqa: RUF012 - pydantic copies it

    @model_validator(mode="after")
    def _check_provider(self) -> Self:
        """Refuse an incomplete provider: nobody could sign in, or everybody."""
        names = ("console_oidc_issuer", "console_oidc_client_id", "console_oidc_client_secret", "console_oidc_roles")
        given = [name for name in names if getattr(self, name)]
        for name in (*names, "console_url"):
            if given and not getattr(self, name):
                raise ValueError(f"{name}: needed with {PREFIX}{given[0].upper()}")
        return self
