"""`person_of`: who asks at the console, in the form that the calls of `/v1` take; and the region in a URL."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from gaugepost.errors import StoreUnreachable
from gaugepost.ledger.audit import Via
from gaugepost.regions import Region
from gaugepost_ops.web.console.routes import console_of
from gaugepost_ops.web.console.sessions import visitor_of
from gaugepost_ops.web.problems import Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.requests import Request


@dataclass(frozen=True, slots=True)
class PersonAtConsole:
    """A person with a session: an actor in all regions of the gateway. `all_regions`: also those that are away."""

    name: str
    all_regions: tuple[Region, ...]
    away: tuple[Region, ...] = ()
    via: Via = Via.CONSOLE

    @property
    def regions(self) -> tuple[Region, ...]:
        """The regions that can be asked."""
        return tuple(region for region in self.all_regions if region not in self.away)

    def regions_of(self, region: Region | None) -> tuple[Region, ...]:
        """Return this region, or all that can be asked; none if this one is away. Raises Refused, StoreUnreachable."""
        if region is not None:
            return () if self.unasked_of(region) else (self.served(region),)
        if not self.regions:
            raise not_asked(self.away)
        return self.regions

    def unasked_of(self, region: Region | None) -> tuple[Region, ...]:
        """Return the regions that `regions_of` leaves out, because they are away."""
        return self.away if region is None else tuple(one for one in self.away if one == region)

    def source_in(self, region: Region) -> str | None:
        """Return no source: each job may name one. Raises Refused."""
        self.served(region)
        return None

    def served(self, region: Region) -> Region:
        """Return the region. Raises Refused if the gateway does not serve it, StoreUnreachable if it is away."""
        if region not in self.all_regions:
            known = ", ".join(self.all_regions)
            raise Refused(HTTPStatus.NOT_FOUND, f"region: this gateway serves {known}, and not {region}")
        if region in self.away:
            raise not_asked([region])
        return region


def not_asked(regions: Sequence[Region]) -> StoreUnreachable:
    """Return the error for regions whose Redis does not answer."""
    return StoreUnreachable(f"{', '.join(regions)} could not be asked: Redis cannot be reached")


def person_of(request: Request) -> PersonAtConsole:
    """Return the signed-in person of a request, as the calls of `/v1` take an actor.

    Pages do not ask a region that is known to be away: each such question would take a thread for seconds.
    """
    gateway = console_of(request).gateway
    return PersonAtConsole(visitor_of(request).name, tuple(gateway.settings.regions), gateway.callers.unreachable())


def region_in(request: Request, text: str | None = None) -> Region | None:
    """Return the region of the URL, or of `text`; None without one.

    Raises Refused for an unknown one. A page shows that the region of its URL is away; with `text`, for a change,
    StoreUnreachable is raised.
    """
    given = request.query_params.get("region", "") if text is None else text
    if not given:
        return None
    if given not in set(Region):
        raise Refused(HTTPStatus.BAD_REQUEST, f"region: expected one of {', '.join(Region)}")
    region, person = Region(given), person_of(request)
    return region if text is None and region in person.unasked_of(region) else person.served(region)


def version_of(*values: object) -> str:
    """Return a text that changes when one of these values does."""
    return hashlib.sha256(repr(values).encode()).hexdigest()[:24]
