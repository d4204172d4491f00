"""`Actor`: who asks for something, by a key or at the console, and in which regions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from gaugepost.ledger.audit import Via
    from gaugepost.regions import Region


class Actor(Protocol):
    """The holder of a key, or a person at the console."""

    @property
    def name(self) -> str:
        """The name in the audit trail."""
        ...

    @property
    def via(self) -> Via:
        """The way of the request, in the audit trail."""
        ...

    @property
    def regions(self) -> tuple[Region, ...]:
        """The regions that can be asked."""
        ...

    @property
    def away(self) -> tuple[Region, ...]:
        """Further regions, whose Redis cannot be reached."""
        ...

    def regions_of(self, region: Region | None) -> tuple[Region, ...]:
        """Return this region, or all regions. Raises Refused."""
        ...

    def unasked_of(self, region: Region | None) -> tuple[Region, ...]:
        """Return the regions that `regions_of` leaves out, because they are away."""
        ...

    def source_in(self, region: Region) -> str | None:
        """Return the source of all jobs that this actor enqueues; None: each job may name one. Raises Refused."""
        ...
