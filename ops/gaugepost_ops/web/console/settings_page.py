"""`/settings`: users, keys of services, and webhooks with their failures. Commands change them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

from gaugepost.errors import StoreUnreachable
from gaugepost.ledger.users import Role
from gaugepost_ops.cli.operations.webhook_rows import merged
from gaugepost_ops.web.console.people import person_of
from gaugepost_ops.web.console.rendering import page
from gaugepost_ops.web.console.routes import Console, Nav, console_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from gaugepost.client import Producer
    from gaugepost.ledger.api_keys import ApiKey
    from gaugepost.ledger.users import User
    from gaugepost.regions import Region
    from gaugepost_ops.web.console.people import PersonAtConsole


class _Found(NamedTuple):
    """What all regions have. `away`: regions whose Redis cannot be reached."""

    users: list[User]
    keys: list[ApiKey]
    webhooks: list[dict[str, Any]]
    away: list[Region]


def add_routes(console: Console) -> None:
    """Add the route of this module."""
    console.get("/settings", show, role=Role.ADMIN, nav=Nav("Settings", "t"))


async def show(request: Request) -> Response:
    """Show users, keys and webhooks."""
    producer = console_of(request).gateway.store.blocking
    found = await asyncio.to_thread(_read, producer, person_of(request))
    return page(request, "settings.html", **found._asdict())


def _read(producer: Producer, person: PersonAtConsole) -> _Found:
    users, keys, endpoints, away = dict[str, Any](), dict[str, Any](), list[Any](), [*person.away]
    for region in person.regions:
        ledger = producer.ledger(region)
        try:
            users = {user.name: user for user in ledger.users.read()} | users
            for key in ledger.api_keys.read().keys:
                if key.name not in keys or (key.used or 0) > (keys[key.name].used or 0):
                    keys[key.name] = key
            endpoints += [(ledger, one) for one in ledger.webhooks.read()]
        except StoreUnreachable:
            away.append(region)
    return _Found(
        [users[name] for name in sorted(users)], [keys[name] for name in sorted(keys)], merged(endpoints), away
    )
