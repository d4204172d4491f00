"""The search for an id in all regions: the others are asked, too, when one of them cannot be reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaugepost.errors import GaugepostError, JobNotFound, StoreUnreachable

if TYPE_CHECKING:
    from gaugepost.regions import Region
    from gaugepost.settings import Settings


class Lookup:
    """Which regions were asked for `what`, and which could not be."""

    def __init__(self, what: str, settings: Settings, region: Region | None = None) -> None:
        self.regions = settings.regions if region is None else (region,)
        self._what = what
        url = settings.redis_url
        self._apart = url is not None and "{region}" in url.get_secret_value()
        self._away: dict[Region, StoreUnreachable] = {}

    def failed(self, region: Region, error: StoreUnreachable) -> None:
        """Set a region aside. Raises the error where all regions share one Redis."""
        if not self._apart:
            raise error
        self._away[region] = error

    def not_found(self) -> GaugepostError:
        """Return the error to raise when no region that was asked knows it."""
        if not self._away:
            return JobNotFound(f"no {self._what}")
        asked = ", ".join(region for region in self.regions if region not in self._away)
        where = f"no {self._what} in {asked}; " if asked else ""
        away = "; ".join(f"{region} could not be asked: {error}" for region, error in self._away.items())
        return StoreUnreachable(where + away)
