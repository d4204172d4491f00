"""The page *Broker*: how many messages Celery's queues have, and that messages are not jobs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
from flower.views.broker import BrokerView
from redis.exceptions import RedisError

from gaugepost.connection import connect_async
from gaugepost.errors import GaugepostError
from gaugepost.keys import Keys

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gaugepost.regions import Region
    from gaugepost.settings import Settings

log = structlog.get_logger("gaugepost.flower")

_PAGE = Path(__file__).with_name("broker.html").resolve()


def queue_rows(settings: Settings, region: Region) -> list[dict[str, Any]]:
    """Return a row for each queue in the Redis of this region: region, name, and what its messages are for."""
    url = settings.redis_url.get_secret_value() if settings.redis_url else ""
    regions = (region,) if "{region}" in url else settings.regions
    all_keys = (Keys(one, settings.namespace) for one in regions)
    return [{"region": keys.region, "name": name, "about": about} for keys in all_keys for name, about in _about(keys)]


def _about(keys: Keys) -> Iterable[tuple[str, str]]:
    return {
        keys.urgent_queue: "bells: wake a worker for urgent jobs",
        keys.queue: "bells: wake a worker for all other jobs",
        keys.tick_queue: "ticks of beat: work every second or so, such as releasing parked jobs",
    }.items()


class QueueLengths:
    """Reads queue lengths over gaugepost's own connection to Redis, which also supports TLS, sockets and sentinels."""

    def __init__(self, settings: Settings, region: Region) -> None:
        self._settings = settings
        self._region = region

    async def queues(self, names: Iterable[str]) -> list[dict[str, object]]:
        """Return the length of each queue, as rows for Flower's page."""
        async with connect_async(self._settings, self._region) as client:
            return [{"name": name, "messages": await client.llen(name)} for name in names]


class QueuesView(BrokerView):  # type: ignore[misc] # Flower has no types
    """Lists the queues of all regions, even of regions without a worker."""

    queues_shown: list[dict[str, Any]]
    lengths: QueueLengths
    application: Any

    async def get(self) -> None:
        """Render the page; without rows if Redis does not answer."""
        rows = self.queues_shown
        try:
            lengths = await self.lengths.queues([row["name"] for row in rows])
        except (RedisError, GaugepostError) as error:
            log.warning("queues cannot be read", error=str(error))
            rows, lengths = [], []
        shown = [row | length for row, length in zip(rows, lengths, strict=True)]
        self.render(str(_PAGE), broker_url=self.application.broker_uri, queues=shown)
