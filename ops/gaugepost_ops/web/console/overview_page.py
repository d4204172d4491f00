"""`/`: what is wrong, in words; then a column for each region."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from gaugepost.ledger.users import Role
from gaugepost_ops.web.console.problems_in_words import problems_of
from gaugepost_ops.web.console.rendering import page
from gaugepost_ops.web.console.routes import Console, Nav, console_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


def add_routes(console: Console) -> None:
    """Add the route of this module."""
    console.get("/", show, role=Role.VIEWER, nav=Nav("Overview", "o"))


async def show(request: Request) -> Response:
    """Show all regions."""
    console = console_of(request)
    snapshots = await console.snapshots.read()
    version = "".join(f"{one.version} {one.is_old} " for one in snapshots)
    find = partial(problems_of, console.gateway.store.blocking, snapshots)
    return page(request, "overview.html", live=True, etag=version, snapshots=snapshots, find_problems=find)
