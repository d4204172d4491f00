"""`person_of`: who asks at the console, in the form that the calls of `/v1` take; and the region in a URL."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from gaugepost.ledger.audit import Via
from gaugepost.regions import Region
from gaugepost_ops.web.console.routes import console_of
from gaugepost_ops.web.console.sessions import visitor_of
from gaugepost_ops.web.problems import Refused

if TYPE_CHECKING:
    from starlette.requests import Request


@dataclass(frozen=True, slots=True)
class PersonAtConsole:
    """A person with a session: an actor in all regions of the gateway."""

    name: str
    regions: tuple[Region, ...]
    away: tuple[Region, ...] = ()
    via: Via = Via.CONSOLE

    def regions_of(self, region: Region | None) -> tuple[Region, ...]:
        """Return this region, or all regions. Raises Refused."""
        return self.regions if region is None else (self.served(region),)

    def unasked_of(self, region: Region | None) -> tuple[Region, ...]:
        """Return the regions that `regions_of` leaves out, because they are away."""
        return self.away if region is None else ()

    def source_in(self, region: Region) -> str | None:
        """Return no source: each job may name one. Raises Refused."""
        self.served(region)
        return None

    def served(self, region: Region) -> Region:
        """Return the region. Raises Refused if the gateway does not serve it."""
        if region not in self.regions:
            known = ", ".join(self.regions)
            raise Refused(HTTPStatus.NOT_FOUND, f"region: this gateway serves {known}, and not {region}")
        return region


def person_of(request: Request) -> PersonAtConsole:
    """Return the signed-in person of a request, as the calls of `/v1` take an actor."""
    regions = tuple(console_of(request).gateway.settings.regions)
    return PersonAtConsole(visitor_of(request).name, regions)


def region_in(request: Request, text: str | None = None) -> Region | None:
    """Return the region of the URL, or of `text`; None without one. Raises Refused for an unknown one."""
    given = request.query_params.get("region", "") if text is None else text
    if not given:
        return None
    if given not in set(Region):
        raise Refused(HTTPStatus.BAD_REQUEST, f"region: expected one of {', '.join(Region)}")
    return person_of(request).served(Region(given))


def version_of(*values: object) -> str:
    """Return a text that changes when one of these values does."""
    return hashlib.sha256(repr(values).encode()).hexdigest()[:24]
