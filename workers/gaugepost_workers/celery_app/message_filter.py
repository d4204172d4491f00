"""Lets through to Celery only our bells and ticks, and the remote-control commands that Flower sends.

Stock Celery trusts everyone who can write to its broker. One list entry that is not a message ends the worker process,
and the next one that starts. So each message is decoded and checked (`message_check.py`) before kombu and Celery see
it. A discarded message is counted, and logged with its queue and its kind of fault, never with its text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import redis
import redis.client
import structlog
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import loads

from gaugepost_workers.celery_app.message_check import fault_of, fault_of_command

if TYPE_CHECKING:
    from collections.abc import Callable

log = structlog.get_logger("gaugepost.message_filter")

_MAX_MESSAGE_BYTES = 1_000_000
"""Longer messages are not decoded. Ours have less than 1,000 bytes, a worker's replies about 10,000."""

on_discarded: list[Callable[[], None]] = []
"""Functions to call for each discarded message."""


def _discard(queue: str, fault: str) -> None:
    log.warning("message thrown away", queue=queue, fault=fault)
    for count in on_discarded:
        count()


def _decodes(text: object) -> bool:
    """Return whether kombu can decode a message. Its JSON has own types, whose constructors may raise any exception."""
    if not isinstance(text, bytes) or len(text) > _MAX_MESSAGE_BYTES:
        return False
    try:
        loads(bytes_to_str(text))
    except Exception:  # noqa: BLE001 - AttributeError, RecursionError, decimal.InvalidOperation, …
        return False
    return True


class FilteredTransport:
    """Checks each message before kombu delivers it. Transport option `bells`: queue → names of its allowed tasks."""

    client: Any

    def _deliver(self, message: Any, queue: Any) -> Any:  # noqa: ANN401 - kombu's signature
        bells = self.client.transport_options.get("bells", {})
        if queue in bells:
            fault = fault_of(message, bells[queue])
        elif _is_mailbox(queue):
            fault = fault_of_command(message)
        else:  # replies and events for Flower
            fault = fault_of(message, None)
        if fault is None:
            return super()._deliver(message, queue)  # type: ignore[misc] # a mixin
        _discard(queue if queue in bells else "other", fault)
        return None


def _is_mailbox(queue: object) -> bool:
    """Return whether a queue has commands for workers, and not replies."""
    return isinstance(queue, str) and queue.endswith(".pidbox") and ".reply." not in queue


class FilteredRedis(redis.Redis):
    """A client that returns `null` for a list entry that kombu cannot decode: the entry would end the worker."""

    def parse_response(self, connection: Any, command_name: Any, **options: Any) -> Any:  # noqa: ANN401 - as in redis-py
        found = super().parse_response(connection, command_name, **options)  # type: ignore[no-untyped-call]
        if command_name == "BRPOP" and found and not _decodes(found[1]):
            return found[0], b"null"
        return b"null" if command_name == "RPOP" and found and not _decodes(found) else found

    def pubsub(self, **kwargs: Any) -> FilteredPubSub:  # noqa: ANN401 - as in redis-py
        return FilteredPubSub(self.connection_pool, **kwargs)


class FilteredPubSub(redis.client.PubSub):
    """A subscription that returns `null` for a published message that kombu cannot decode."""

    def parse_response(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as in redis-py
        found = super().parse_response(*args, **kwargs)  # type: ignore[no-untyped-call]
        if isinstance(found, list) and found and found[0] in {b"message", b"pmessage"} and not _decodes(found[-1]):
            return [*found[:-1], b"null"]
        return found


class FilteredChannel:
    """Reads with a filtered client."""

    def _get_client(self) -> Any:  # noqa: ANN401 - kombu's signature
        super()._get_client()  # type: ignore[misc] # a mixin: it checks redis-py's version
        return FilteredRedis

    def _deliver_fanout_message(self, message: Any, exchange: Any) -> Any:  # noqa: ANN401 - kombu's signature
        if isinstance(message, dict) and isinstance(message.get("properties"), dict):
            return super()._deliver_fanout_message(message, exchange)  # type: ignore[misc] # a mixin
        _discard("other", "no message")
        return False
