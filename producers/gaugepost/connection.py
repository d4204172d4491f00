"""Which Redis a region lives on, and clients for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import redis
import redis.asyncio
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from gaugepost import embedded
from gaugepost.errors import SettingsError

if TYPE_CHECKING:
    from gaugepost.regions import Region
    from gaugepost.settings import Settings

_SCHEMES = ("redis://", "rediss://", "unix://")

# Few retries: every call may be repeated, but whoever enqueues wants to hear of trouble within seconds, and workers
# have their own patience. A timeout below Celery's, since a script answers in milliseconds or not at all.
_RETRIES = 3
_OPTIONS: dict[str, Any] = {
    "socket_timeout": 5.0,
    "socket_connect_timeout": 3.0,
    "socket_keepalive": True,
    "health_check_interval": 10,
}


def redis_url(settings: Settings, region: Region) -> str:
    """Return the URL of the region's Redis; without a setting, start or find the embedded one."""
    if settings.redis_url is None:
        return embedded.url()
    text = settings.redis_url.get_secret_value().replace("{region}", region)
    if not text.startswith(_SCHEMES):
        raise SettingsError(f"GAUGEPOST_REDIS_URL: expected it to begin with {', '.join(_SCHEMES)}")
    return text


def connect(settings: Settings, region: Region) -> redis.Redis:
    """Return a client for the region's Redis; nothing is sent yet."""
    backoff = ExponentialWithJitterBackoff(base=0.05, cap=0.5)
    return redis.Redis.from_url(redis_url(settings, region), retry=Retry(backoff, _RETRIES), **_OPTIONS)


def connect_async(settings: Settings, region: Region) -> redis.asyncio.Redis:
    """Return an asyncio client for the region's Redis; nothing is sent yet."""
    backoff = ExponentialWithJitterBackoff(base=0.05, cap=0.5)
    return redis.asyncio.Redis.from_url(redis_url(settings, region), retry=AsyncRetry(backoff, _RETRIES), **_OPTIONS)
