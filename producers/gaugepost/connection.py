"""Connect to a region's Redis: to the server that GAUGEPOST_REDIS_URL names, or to the master of its sentinels."""

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

# Shorter than Celery's timeouts, because a script answers within milliseconds.
_OPTIONS: dict[str, Any] = {"socket_timeout": 5.0, "socket_connect_timeout": 3.0, "health_check_interval": 10}

SENTINEL_OPTIONS: dict[str, Any] = {"socket_timeout": 1.0, "socket_connect_timeout": 1.0}
"""Options of connections to sentinels. When one does not answer within a second, the client asks the next one."""


NOT_SET = (
    "GAUGEPOST_REDIS_URL is not set. Set it to your Redis, or run gaugepost demo / gaugepost up to try it without one."
)


def redis_url(settings: Settings, region: Region) -> str:
    """Return the URL of the region's Redis, or of its sentinels. Raises SettingsError if none is set."""
    text = settings.redis_url.get_secret_value().strip().replace("{region}", region) if settings.redis_url else ""
    if not text:
        raise SettingsError(NOT_SET)
    if not text.startswith(_SCHEMES):
        raise SettingsError(f"GAUGEPOST_REDIS_URL: expected a URL that begins with {', '.join(_SCHEMES)}")
    return text


def sentinel_url(text: str) -> SentinelUrl | None:
    """Parse a sentinel URL; return None for other URLs. Raises SettingsError."""
    if not text.startswith(sentinel.SCHEMES):
        return None
    try:
        return SentinelUrl.parse(text)
    except ValueError:
        raise SettingsError(
            "GAUGEPOST_REDIS_URL: expected a URL such as sentinel://:password@host1:26379,host2:26379/mymaster/0"
        ) from None


def _options(url: str) -> dict[str, Any]:
    """Return the options of a connection. A Unix socket has no keep-alive."""
    return _OPTIONS if url.startswith("unix://") else _OPTIONS | {"socket_keepalive": True}


def _retry() -> Retry:
    return Retry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), RETRIES)


def _limits(timeout: float | None) -> dict[str, Any]:
    """Return the socket timeouts of a client whose calls may take `timeout` seconds, retries included."""
    if timeout is None:
        return {}
    attempt = DeadlineRetry(timeout).attempt
    return {"socket_timeout": attempt, "socket_connect_timeout": min(attempt, _OPTIONS["socket_connect_timeout"])}


def _master(
    sentinels: Any,  # noqa: ANN401 - either class
    watched: SentinelUrl,
    retry: object,
    no_retry: object,
    limits: dict[str, Any],
    client: Any,  # noqa: ANN401 - either class
) -> Any:  # noqa: ANN401 - either class
    """Return a client of the sentinels' master. Each new connection asks the sentinels again."""
    ask = {**SENTINEL_OPTIONS, **watched.sentinel_options(), "retry": no_retry}
    tls: dict[str, Any] = {"ssl": True, **watched.ssl()} if watched.tls else {}
    options = {"db": watched.db, "retry": retry, "socket_keepalive": True, **_OPTIONS, **limits, **watched.login, **tls}
    return sentinels(list(watched.hosts), sentinel_kwargs=ask, **options).master_for(watched.master, client)


def connect_briefly(settings: Settings, region: Region) -> redis.Redis:
    """Return a client for health checks: it tries once, for at most a second."""
    client = connect(settings, region)
    client.connection_pool.connection_kwargs |= {
        "socket_timeout": 1.0,
        "socket_connect_timeout": 1.0,
        "retry": Retry(NoBackoff(), 0),
    }
    return client


def connect(settings: Settings, region: Region, *, timeout: float | None = None) -> redis.Redis:
    """Return a client of the region's Redis, which connects at its first command.

    `timeout`: seconds that a call may take, retries included; None: the longer limits of a worker.
    Raises SettingsError.
    """
    url = redis_url(settings, region)
    retry = _retry() if timeout is None else DeadlineRetry(timeout)
    limits = _limits(timeout)
    watched = sentinel_url(url)
    if watched is not None:
        return cast("redis.Redis", _master(Sentinel, watched, retry, Retry(NoBackoff(), 0), limits, NamingClient))
    try:
        return NamingClient.from_url(url, retry=retry, **_options(url) | limits)
    except ValueError:
        raise _unusable() from None


def connect_async(settings: Settings, region: Region, *, timeout: float | None = None) -> redis.asyncio.Redis:
    """Return an asyncio client of the region's Redis; see `connect`."""
    url = redis_url(settings, region)
    retry = AsyncRetry(ExponentialWithJitterBackoff(base=0.05, cap=0.5), RETRIES)
    limits = _limits(timeout)
    watched = sentinel_url(url)
    if watched is not None:
        no_retry = AsyncRetry(NoBackoff(), 0)
        return cast("redis.asyncio.Redis", _master(AsyncSentinel, watched, retry, no_retry, limits, NamingAsyncClient))
    try:
        return NamingAsyncClient.from_url(url, retry=retry, **_options(url) | limits)
    except ValueError:
        raise _unusable() from None


def _unusable() -> SettingsError:
    """Return an error that does not quote the URL, which may contain a password."""
    return SettingsError("GAUGEPOST_REDIS_URL: expected a URL such as redis://:password@host:6379/0")
