"""Celery's way to Redis: kombu's transports, with what a worker of ours must not do taken out, and the settings.

No message of ours is ever unacknowledged (`app.py`). kombu 5.7.0 acknowledges it all the same: a full Redis refuses
that, and if the connection is lost meanwhile an AttributeError, which nobody expects, ends the worker.
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
    """Looks after no unacknowledged messages: there are none of ours (`app.py`), and it must not run anybody else's.

    What lies in kombu's `unacked` is shared by all Celery applications of a Redis, and the shortest visibility timeout
    of them all wins: so none is needed here, and whoever shares a Redis with us keeps theirs.
    """

    def append(self, message: object, delivery_tag: str) -> None:
        """Keep nothing of what comes when the consumers have gone: kombu would write it into the shared `unacked`."""

    def ack(self, delivery_tag: str) -> None:
        """Acknowledge nothing."""

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 - kombu's signature
        """Reject nothing: who rejects (Celery an unknown task) throws away what is taken already."""

    def restore_visible(self, *_: object, **__: object) -> None:
        """Restore nothing."""


class _GaugepostChannel:
    """A channel that restores nothing, tells that it listens, and opens on a Redis that is out of memory."""

    QoS: Any = _NoAcknowledgements

    def _brpop_read(self, **options: Any) -> Any:  # noqa: ANN401 - kombu's signature
        """Read a bell, or that there is none: the sign that this process still listens."""
        try:
            found = super()._brpop_read(**options)  # type: ignore[misc] # a mixin
        except Empty:
            WATCHDOG.note_read()
            raise
        except redis.exceptions.NoPermissionError as error:
            # Celery says only that the connection was lost, and tries again.
            command = ["BRPOP", *self.active_queues, "1"]  # type: ignore[attr-defined] # a mixin
            log.warning("no bells are read", error=str(refused(error, user_of(self.client), command)))  # type: ignore[attr-defined]
            raise
        WATCHDOG.note_read()
        return found

    # Redis out of memory refuses what kombu does when it declares a queue, and workers are what makes room again.

    def _size(self, queue: str) -> int:
        with suppress(redis.exceptions.OutOfMemoryError):
            return int(super()._size(queue))  # type: ignore[misc] # a mixin
        return 0  # only ever told to whoever declares, who does not ask

    def _queue_bind(self, *binding: Any) -> None:  # noqa: ANN401 - kombu's signature
        with suppress(redis.exceptions.OutOfMemoryError):  # only Flower's questions need it
            super()._queue_bind(*binding)  # type: ignore[misc] # a mixin


class Channel(_GaugepostChannel, FilteredChannel, KombuChannel):
    """A channel to a Redis that is named."""


class Transport(FilteredTransport, KombuTransport):
    """What kombu's `redis://`, `rediss://` and `redis+socket://` mean here."""

    Channel = Channel


class SentinelChannel(_GaugepostChannel, FilteredChannel, KombuSentinelChannel):
    """A channel to the master that sentinels name."""


class SentinelTransport(FilteredTransport, KombuSentinelTransport):
    """What kombu's `sentinel://` means here."""

    Channel = SentinelChannel


# Under its own names rather than in `broker_transport`: kombu sees to TLS, and Flower to its page, by the scheme.
TRANSPORT_ALIASES.update(
    dict.fromkeys(("redis", "rediss"), f"{__name__}:Transport"), sentinel=f"{__name__}:SentinelTransport"
)


def broker(url: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the Celery settings that lead to this Redis, and its own transport options. Raises SettingsError."""
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
    )  # kombu verifies nothing
    return {"broker_url": url, **tls}, {}
