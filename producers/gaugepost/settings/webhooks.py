"""Settings of webhooks: to which networks workers may send them."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import Annotated

from pydantic import BeforeValidator, Field
from pydantic_settings import NoDecode

from gaugepost.settings.group import Group


def _networks(value: object) -> object:
    return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value


class WebhookSettings(Group):
    """Webhooks: where workers may send them."""

    webhook_networks: Annotated[
        tuple[IPv4Network | IPv6Network, ...],
        NoDecode,
        BeforeValidator(_networks),
        Field(
            description="private networks to which workers may send [webhooks](docs/webhooks.md), also over http://: "
            "`10.20.0.0/16,fd12::/48`. Without it they send to public addresses only, over https://"
        ),
    ] = ()
