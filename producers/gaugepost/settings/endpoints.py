"""Settings of the account: its regions, their URLs and credentials."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from gaugepost.regions import Region
from gaugepost.settings.group import Group
from gaugepost.settings.types import UrlTemplate


def _regions(value: object) -> object:
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


def _not_empty(secret: SecretStr) -> SecretStr:
    if not secret.get_secret_value().strip():
        raise ValueError("expected a value; remove the setting if you do not need it")
    return secret


Credential = Annotated[SecretStr, AfterValidator(_not_empty)]


@dataclass(frozen=True)
class Credentials:
    """The credentials of one region's CustomerGauge account; None for each that is not set."""

    client_id: SecretStr | None
    client_secret: SecretStr | None
    api_key: SecretStr | None


class EndpointSettings(Group):
    """CustomerGauge: regions, endpoints and credentials."""

    regions: Annotated[
        tuple[Region, ...], NoDecode, BeforeValidator(_regions), Field(min_length=1, description="the regions to serve")
    ] = (Region.EU, Region.US, Region.AU)
    auth_url: Annotated[UrlTemplate, Field(description="URL of the token endpoint's host")] = (
        "https://auth.{region}.customergauge.com"
    )
    imports_url: Annotated[UrlTemplate, Field(description="URL for records and personal links")] = (
        "https://imports.api.{region}.customergauge.com"
    )
    api_url: Annotated[UrlTemplate, Field(description="URL for close the loop, responses and files")] = (
        "https://api.{region}.customergauge.com"
    )
    eu_client_id: Annotated[Credential | None, Field(description="OAuth2 client id of the region's Connected App")] = (
        None
    )
    eu_client_secret: Annotated[Credential | None, Field(description="secret of that OAuth2 client")] = None
    eu_api_key: Annotated[Credential | None, Field(description="API key for the v4.1 API: responses and files")] = None
    us_client_id: Annotated[Credential | None, Field(description="as for eu")] = None
    us_client_secret: Annotated[Credential | None, Field(description="as for eu")] = None
    us_api_key: Annotated[Credential | None, Field(description="as for eu")] = None
    au_client_id: Annotated[Credential | None, Field(description="as for eu")] = None
    au_client_secret: Annotated[Credential | None, Field(description="as for eu")] = None
    au_api_key: Annotated[Credential | None, Field(description="as for eu")] = None

    def credentials(self, region: Region) -> Credentials:
        """Return the credentials of one region."""
        names = ("client_id", "client_secret", "api_key")
        return Credentials(*(getattr(self, f"{region}_{name}") for name in names))
