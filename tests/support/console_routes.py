"""List the routes of the console, as its application has them."""

from __future__ import annotations

from gaugepost import Settings
from gaugepost_ops.web.console.application import ConsoleApplication
from gaugepost_ops.web.console.routes import ConsoleRoute
from gaugepost_ops.web.gateway import Gateway


async def _nothing(*_: object) -> None:
    raise AssertionError


def routes() -> list[ConsoleRoute]:
    """Return all routes."""
    gateway = Gateway(Settings.given(redis_url="redis://127.0.0.1:1/0"))
    return ConsoleApplication(gateway, _nothing).console.routes


def path_of(route: ConsoleRoute) -> str:
    """Return a path that the route answers."""
    return route.path.replace("{", "").replace("}", "")
