"""Celery's connection to Redis: kombu's transports without acknowledgements, and their settings.

Our queues need no acknowledgements (`app.py`), but kombu 5.7.0 sends them all the same. A full Redis refuses them. If
the connection is lost before one, kombu raises an AttributeError, which ends the worker.
"""

from __future__ import annotations

from contextlib import suppress
from queue import Empty
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import redis.exceptions
import structlog
from kombu.transport import TRANSPORT_ALIASES
from kombu.transport.redis import Channel as KombuChannel
from kombu.transport.redis import QoS
from kombu.transport.redis import SentinelChannel as KombuSentinelChannel
from kombu.transport.redis import SentinelTransport as KombuSentinelTransport
from kombu.transport.redis import Transport as KombuTransport
from redis.backoff import NoBackoff
from redis.retry import Retry

from gaugepost.connection import SENTINEL_OPTIONS, sentinel_url
from gaugepost.ledger.refusals import refused, user_of
from gaugepost_workers.celery_app.message_filter import FilteredChannel, FilteredTransport
from gaugepost_workers.watchdog import WATCHDOG

log = structlog.get_logger("gaugepost.transport")


class _NoAcknowledgements(QoS):
    """Acknowledges and restores no messages: we have no unacknowledged ones, and must not restore those of others.

    All Celery apps of a Redis share kombu's `unacked` key, and the shortest visibility timeout of all apps wins. So our
    workers leave it to the other apps.
    """

    def append(self, message: object, delivery_tag: str) -> None:
        """Keep nothing of what comes when the consumers have gone: kombu would write it into the shared `unacked`."""

    def ack(self, delivery_tag: str) -> None:
        """Do nothing: a popped message counts as acknowledged."""

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 - kombu's signature
        """Do nothing: a rejected message (of an unknown task) is popped already."""

    def restore_visible(self, *_: object, **__: object) -> None:
        """Do nothing: there is no message to restore."""


class _GaugepostChannel:
    """A channel that acknowledges nothing, notes each read for the watchdog, and opens while Redis is out of memory."""

    QoS: Any = _NoAcknowledgements

    def _brpop_read(self, **options: Any) -> Any:  # noqa: ANN401 - kombu's signature
        """Read a message, and note for the watchdog that this process still reads."""
        try:
            found = super()._brpop_read(**options)  # type: ignore[misc] # a mixin
        except Empty:
            WATCHDOG.note_read()
            raise
        except redis.exceptions.NoPermissionError as error:
            # Celery logs only that the connection was lost, and tries again.
            command = ["BRPOP", *self.active_queues, "1"]  # type: ignore[attr-defined] # a mixin
            log.warning("cannot read bells", error=str(refused(error, user_of(self.client), command)))  # type: ignore[attr-defined]
            raise
        WATCHDOG.note_read()
        return found

    # A Redis that is out of memory refuses the commands with which kombu declares a queue. Workers must start all the
    # same: they free memory.

    def _size(self, queue: str) -> int:
        with suppress(redis.exceptions.OutOfMemoryError):
            return int(super()._size(queue))  # type: ignore[misc] # a mixin
        return 0  # kombu returns it to callers of queue_declare, and we have none

    def _queue_bind(self, *binding: Any) -> None:  # noqa: ANN401 - kombu's signature
        with suppress(redis.exceptions.OutOfMemoryError):  # only remote control needs it
            super()._queue_bind(*binding)  # type: ignore[misc] # a mixin

    def maybe_refresh_binding_expiry(self) -> None:
        """Keep the bindings of expiring queues. kombu calls it every second, and would log a traceback each time."""
        with suppress(redis.exceptions.OutOfMemoryError):  # kombu tries again a second later
            super().maybe_refresh_binding_expiry()  # type: ignore[misc] # a mixin


class Channel(_GaugepostChannel, FilteredChannel, KombuChannel):
    """A channel to one Redis server."""


class Transport(FilteredTransport, KombuTransport):
    """The transport of `redis://`, `rediss://` and `redis+socket://`."""

    Channel = Channel


class SentinelChannel(_GaugepostChannel, FilteredChannel, KombuSentinelChannel):
    """A channel to the master that Sentinel names."""


class SentinelTransport(FilteredTransport, KombuSentinelTransport):
    """The transport of `sentinel://`."""

    Channel = SentinelChannel


# These replace kombu's own names. `broker_transport` would not do: kombu (TLS) and Flower (broker page) look at the
# scheme of the URL.
TRANSPORT_ALIASES.update(
    dict.fromkeys(("redis", "rediss"), f"{__name__}:Transport"), sentinel=f"{__name__}:SentinelTransport"
)


def broker(url: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the Celery settings and the transport options for a Redis URL. Raises SettingsError."""
    sentinel = sentinel_url(url)
    if sentinel is not None:
        ask = {**SENTINEL_OPTIONS, **sentinel.sentinel_options(), "retry": Retry(NoBackoff(), 0)}
        tls = {"broker_use_ssl": sentinel.ssl()} if sentinel.tls else {}
        return {"broker_url": sentinel.kombu_url(), **tls}, {"master_name": sentinel.master, "sentinel_kwargs": ask}
    parts = urlsplit(url)
    if parts.scheme == "unix":
        db = dict(parse_qsl(parts.query)).get("db", "0")
        return {"broker_url": f"redis+socket://{parts.netloc}{parts.path}?virtual_host={db}"}, {}
    tls = (
        {"broker_use_ssl": {"ssl_cert_reqs": "required"}} if parts.scheme == "rediss" else {}
    )  # kombu verifies no certificate by itself
    return {"broker_url": url, **tls}, {}
