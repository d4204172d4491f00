"""Which Redis a region lives on, and clients for it: one that is named, or the master that sentinels name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import redis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.backoff import ExponentialWithJitterBackoff, NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from gaugepost import sentinel
from gaugepost.errors import SettingsError
from gaugepost.ledger.call_deadline import RETRIES, DeadlineRetry
from gaugepost.ledger.refusals import NamingAsyncClient, NamingClient
from gaugepost.sentinel import SentinelUrl

if TYPE_CHECKING:
    import redis.asyncio

    from gaugepost.regions import Region
    from gaugepost.settings import Settings

_SCHEMES = ("redis://", "rediss://", "unix://", *sentinel.SCHEMES)

# A timeout below Celery's, since a script answers in milliseconds or not at all.
_OPTIONS: dict[str, Any] = {"socket_timeout": 5.0, "socket_connect_timeout": 3.0, "health_check_interval": 10}

SENTINEL_OPTIONS: dict[str, Any] = {"socket_timeout": 1.0, "socket_connect_timeout": 1.0}
"""Of connections to sentinels. There are several: one that does not answer at once is passed over, not asked again."""


NOT_SET = (
    "GAUGEPOST_REDIS_URL is not set. Set it to your Redis, or run gaugepost demo / gaugepost up to try it without one."
)


def redis_url(settings: Settings, region: Region) -> str:
    """Return the URL of the region's Redis, or of its sentinels. Raises SettingsError if none is set."""
    text = settings.redis_url.get_secret_value().strip().replace("{region}", region) if settings.redis_url else ""
    if not text:
        raise SettingsError(NOT_SET)
    if not text.startswith(_SCHEMES):
        raise SettingsError(f"GAUGEPOST_REDIS_URL: expected it to begin with {', '.join(_SCHEMES)}")
    return text


def sentinel_url(text: str) -> SentinelUrl | None:
    """Take a sentinel URL apart; None for any other. Raises SettingsError."""
    if not text.startswith(sentinel.SCHEMES):
        return None
    try:
        return SentinelUrl.parse(text)
    except ValueError:
        raise SettingsError(
            "GAUGEPOST_REDIS_URL: expected a URL such as sentinel://:password@host1:26379,host2:26379/mymaster/0"
        ) from None


def _options(url: str) -> dict[str, Any]:
    """Return the options of a connection; a socket in the file system knows no keep-alive."""
    return _OPTIONS if url.startswith("unix://") else _OPTIONS | {"socket_keepalive": True}


def _retry() -> Retry:
    return Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), RETRIES)


def _limits(patience: float | None) -> dict[str, Any]:
    """Return the timeouts of a socket for a caller that waits no longer than `patience` seconds in all."""
    if patience is None:
        return {}
    attempt = DeadlineRetry(patience).attempt
    return {"socket_timeout": attempt, "socket_connect_timeout": min(attempt, _OPTIONS["socket_connect_timeout"])}


def _master(
    sentinels: Any,  # noqa: ANN401 - either class
    watched: SentinelUrl,
    retry: object,
    never: object,
    limits: dict[str, Any],
    client: Any,  # noqa: ANN401 - either class
) -> Any:  # noqa: ANN401 - either class
    """Return a client for the master that the sentinels name, asked for anew at each connection."""
    ask = {**SENTINEL_OPTIONS, **watched.sentinel_options(), "retry": never}
    tls: dict[str, Any] = {"ssl": True, **watched.ssl()} if watched.tls else {}
    options = {"db": watched.db, "retry": retry, "socket_keepalive": True, **_OPTIONS, **limits, **watched.login, **tls}
    return sentinels(list(watched.hosts), sentinel_kwargs=ask, **options).master_for(watched.master, client)


def connect_briefly(settings: Settings, region: Region) -> redis.Redis:
    """Return a client for a probe: it asks once, and not for longer than a second."""
    client = connect(settings, region)
    client.connection_pool.connection_kwargs |= {
        "socket_timeout": 1.0,
        "socket_connect_timeout": 1.0,
        "retry": Retry(NoBackoff(), 0),
    }
    return client


def connect(settings: Settings, region: Region, *, patience: float | None = None) -> redis.Redis:
    """Return a client for the region's Redis; nothing is sent yet.

    `patience`: seconds that a call may take in all, retries included; None: a worker's patience.
    """
    url = redis_url(settings, region)
    retry = _retry() if patience is None else DeadlineRetry(patience)
    limits = _limits(patience)
    watched = sentinel_url(url)
    if watched is not None:
        return cast("redis.Redis", _master(Sentinel, watched, retry, Retry(NoBackoff(), 0), limits, NamingClient))
    try:
        return NamingClient.from_url(url, retry=retry, **_options(url) | limits)
    except ValueError:
        raise _unusable() from None


def connect_async(settings: Settings, region: Region, *, patience: float | None = None) -> redis.asyncio.Redis:
    """Return an asyncio client for the region's Redis; see `connect`."""
    url = redis_url(settings, region)
    retry = AsyncRetry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), RETRIES)
    limits = _limits(patience)
    watched = sentinel_url(url)
    if watched is not None:
        never = AsyncRetry(NoBackoff(), 0)
        return cast("redis.asyncio.Redis", _master(AsyncSentinel, watched, retry, never, limits, NamingAsyncClient))
    try:
        return NamingAsyncClient.from_url(url, retry=retry, **_options(url) | limits)
    except ValueError:
        raise _unusable() from None


def _unusable() -> SettingsError:
    """Say what is wrong without repeating it: the URL may hold a password."""
    return SettingsError("GAUGEPOST_REDIS_URL: expected a URL such as redis://:password@host:6379/0")
