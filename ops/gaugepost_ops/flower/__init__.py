"""Flower, read-only: with a login on every page, or else on loopback only.

Flower as it is installed lets anyone read `/metrics` and `/healthcheck`, and run, revoke and stop tasks. It executes
`flowerconfig.py` in the current folder and reads `FLOWER_…` from the environment. Here it serves only the routes of
`pages.py`, `FLOWER_…` is deleted from the environment, and the options about access come last, so that no file
overrides them.
"""

from __future__ import annotations

import ipaddress
import os
from typing import TYPE_CHECKING

import flower.urls

from gaugepost.connection import redis_url
from gaugepost.errors import SettingsError
from gaugepost_ops.flower import flowerconfig
from gaugepost_ops.flower.pages import routes
from gaugepost_workers.celery_app.app import make_app

if TYPE_CHECKING:
    from pathlib import Path

    from gaugepost.regions import Region
    from gaugepost.settings import Settings

_OURS = {"read_only": "true", "debug": "false", "logging": "warning", "unix_socket": ""}


def serve(settings: Settings, region: Region, address: str, port: int, conf: Path | None = None) -> None:
    """Serve Flower for the Redis of `region` until a signal. `conf`: a file with Flower's own options.

    Raises SettingsError if other machines could reach it without a login, if `conf` does not exist, or if the port is
    taken.
    """
    login = _login(settings)
    if not login and not is_loopback(address):
        raise SettingsError(
            f"Flower does not start on {address or 'all addresses'} without a login: set GAUGEPOST_FLOWER_BASIC_AUTH"
            " or GAUGEPOST_FLOWER_OIDC_ISSUER, or leave out --address"
        )
    if conf is not None and not conf.is_file():
        raise SettingsError(f"--conf {conf}: no such file")
    for name in [name for name in os.environ if name.upper().startswith("FLOWER_")]:
        del os.environ[name]
    flower.urls.handlers[:] = routes(flower.urls.handlers, settings, region)
    options = _OURS | {"conf": str(conf or flowerconfig.__file__), "address": address, "port": str(port)} | login
    app = make_app(region, redis_url(settings, region), namespace=settings.namespace)
    try:
        # The list has secrets. It stays in this process, so other users of the machine cannot read it.
        app.start(["flower", *(f"--{name}={value}" for name, value in options.items())])
    except OSError as error:
        raise SettingsError(
            f"Flower cannot listen on port {port} of {address or 'all addresses'} ({error.strerror}):"
            " stop the process that does, or choose another --port or --address"
        ) from error


def is_loopback(address: str) -> bool:
    """Return whether only this machine can reach the address."""
    try:
        return address == "localhost" or ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _login(settings: Settings) -> dict[str, str]:
    """Return Flower's options for the login of the settings; empty if they have none."""
    if settings.flower_basic_auth is not None:
        return {"basic_auth": settings.flower_basic_auth.get_secret_value()}
    if settings.flower_oidc_client_secret is None:
        return {}
    return {
        "auth": str(settings.flower_oidc_users),
        "oauth2_key": str(settings.flower_oidc_client_id),
        "oauth2_secret": settings.flower_oidc_client_secret.get_secret_value(),
        "oauth2_redirect_uri": f"{settings.flower_url}/login",
    }
