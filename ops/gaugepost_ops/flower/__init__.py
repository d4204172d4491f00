"""Flower as gaugepost shows it: a login on every page, nothing that acts, and nothing beyond this machine without one.

Stock Flower lets anybody read `/metrics` and `/healthcheck`, runs, revokes and stops things for whoever asks, executes
a `flowerconfig.py` of the current folder, and listens to `FLOWER_…` of the environment. Here its routes are those of
`pages.py`, its environment is taken away, and what decides who sees what is said last, where no file overrides it.
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
    """Show the workers and jobs of the region's Redis until stopped.

    Raises SettingsError where it would be open, and where it cannot listen.
    """
    login = _login(settings)
    if not login and not is_loopback(address):
        raise SettingsError(
            f"Flower shows itself on {address or 'all addresses'} only behind a login: set GAUGEPOST_FLOWER_BASIC_AUTH"
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
        # Secrets too: this list is handed over within the process, and no other user of the machine sees it.
        app.start(["flower", *(f"--{name}={value}" for name, value in options.items())])
    except OSError as error:
        raise SettingsError(
            f"Flower cannot listen on port {port} of {address or 'all addresses'} ({error.strerror}):"
            " end what does, or choose another --port or --address"
        ) from error


def is_loopback(address: str) -> bool:
    """Tell whether only this machine itself reaches what listens there."""
    try:
        return address == "localhost" or ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _login(settings: Settings) -> dict[str, str]:
    """Return Flower's options for the login that the settings ask for; empty if they ask for none."""
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
