"""Search for an id in all regions. When one region cannot be reached, search the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gaugepost.errors import GaugepostError, JobNotFound, StoreUnreachable

if TYPE_CHECKING:
    from gaugepost.regions import Region
    from gaugepost.settings import Settings


def require_key(job_id: str | None, key: str | None, region: Region | None) -> tuple[str, Region]:
    """Return key and region. Raises TypeError unless both are given, and no id."""
    if job_id is not None or key is None or region is None:
        raise TypeError("expected either a job's id, or key and region")
    return key, region


def require_keyed(job_id: str | None, region: Region) -> str:
    """Return the id that was found for an idempotency key. Raises JobNotFound for None."""
    if job_id is None:
        raise JobNotFound(f"no job of {region} has this idempotency key")
    return job_id


class Lookup:
    """One search for `what`, such as `job 14eb…`: the regions to ask, and those that could not be reached."""

    def __init__(self, what: str, settings: Settings, region: Region | None = None) -> None:
        self.regions = settings.regions if region is None else (region,)
        self._what = what
        url = settings.redis_url
        self._redis_per_region = url is not None and "{region}" in url.get_secret_value()
        self.failures: dict[Region, StoreUnreachable] = {}

    def failed(self, region: Region, error: StoreUnreachable) -> None:
        """Note that a region cannot be reached. Raises the error if all regions share one Redis."""
        if not self._redis_per_region:
            raise error
        self.failures[region] = error

    def not_found(self) -> GaugepostError:
        """Return the error to raise when no region that answered has it."""
        if not self.failures:
            return JobNotFound(f"no {self._what}")
        asked = ", ".join(region for region in self.regions if region not in self.failures)
        where = f"no {self._what} in {asked}; " if asked else ""
        failed = "; ".join(f"{region} could not be asked: {error}" for region, error in self.failures.items())
        return StoreUnreachable(where + failed)
