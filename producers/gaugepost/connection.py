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
_OPTIONS: dict[str, Any] = {"socket_timeout": 5.0, "socket_connect_timeout": 3.0, "health_check_interval": 10}


def redis_url(settings: Settings, region: Region) -> str:
    """Return the URL of the region's Redis; without a setting, start or find the embedded one."""
    if settings.redis_url is None:
        return embedded.url()
    text = settings.redis_url.get_secret_value().replace("{region}", region)
    if not text.startswith(_SCHEMES):
        raise SettingsError(f"GAUGEPOST_REDIS_URL: expected it to begin with {', '.join(_SCHEMES)}")
    return text


def _options(url: str) -> dict[str, Any]:
    """Return the options of a connection; a socket in the file system knows no keep-alive."""
    return _OPTIONS if url.startswith("unix://") else _OPTIONS | {"socket_keepalive": True}


def connect(settings: Settings, region: Region) -> redis.Redis:
    """Return a client for the region's Redis; nothing is sent yet."""
    url = redis_url(settings, region)
    retry = Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), _RETRIES)
    try:
        return redis.Redis.from_url(url, retry=retry, **_options(url))
    except ValueError:
        raise _unusable() from None


def connect_async(settings: Settings, region: Region) -> redis.asyncio.Redis:
    """Return an asyncio client for the region's Redis; nothing is sent yet."""
    url = redis_url(settings, region)
    retry = AsyncRetry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), _RETRIES)
    try:
        return redis.asyncio.Redis.from_url(url, retry=retry, **_options(url))
    except ValueError:
        raise _unusable() from None


def _unusable() -> SettingsError:
    """Say what is wrong without repeating it: the URL may hold a password."""
    return SettingsError("GAUGEPOST_REDIS_URL: expected a URL such as redis://:password@host:6379/0")
