"""kombu's Redis transport, with one crash of celery 5.7.0 mended.

When Redis restarts while the worker holds an unacknowledged message, celery closes the connection twice; the second
time kombu looks up connection parameters on a transport that has lost its client, and the AttributeError, which no
handler expects, ends the worker process. Told as a lost connection, the worker reconnects. A test tells when kombu no
longer needs this (`tests/integration/test_transport.py`).
"""

from __future__ import annotations

from typing import Any

import redis.exceptions
from kombu.transport.redis import Channel as KombuChannel
from kombu.transport.redis import Transport as KombuTransport


class Channel(KombuChannel):
    """A channel that calls a closed transport what it is."""

    def _connparams(self, asynchronous: bool = False) -> Any:  # noqa: ANN401, FBT001, FBT002 - kombu's signature
        if self.connection is None or self.connection.client is None:
            raise redis.exceptions.ConnectionError("channel of a closed transport")
        return super()._connparams(asynchronous)  # type: ignore[misc] # not in kombu's stubs


class Transport(KombuTransport):
    """Named in `broker_transport`; the URL stays `redis://`."""

    Channel = Channel
