"""Check our transport on a real Redis: bells whose connection is lost, and a Redis that is out of memory."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from kombu import Consumer, Exchange, Queue

from gaugepost import Region
from gaugepost.bell import DELIVER
from gaugepost_workers.celery_app.app import make_app
from support.bells import bell


@pytest.mark.parametrize("how", ["ack", "reject", "requeue"])
def test_bell_may_be_acknowledged_after_its_connection_was_lost(redis_url: str, how: str) -> None:
    """In stock kombu 5.7 such an acknowledgement raises AttributeError, which ends the worker."""
    app, messages = make_app(Region.EU, redis_url), []
    with redis.Redis.from_url(redis_url) as client, app.connection_for_read() as connection:
        client.lpush("gaugepost.eu", bell("gaugepost.eu", DELIVER))
        with Consumer(connection, [app.amqp.queues["gaugepost.eu"]], on_message=messages.append):
            connection.drain_events(timeout=10)
        client.config_resetstat()
        connection.close()
        getattr(messages[0], how)()
        assert client.llen("gaugepost.eu") == 0
        assert set(client.info("commandstats")) <= {"cmdstat_config|resetstat", "cmdstat_llen"}


def test_full_redis_does_not_fail_the_refresh_of_bindings(redis_url: str) -> None:
    """In stock kombu 5.7 the worker logs a traceback every second."""
    replies = Queue("replies", Exchange("gaugepost.pidbox"), expires=10)
    with redis.Redis.from_url(redis_url) as client, make_app(Region.EU, redis_url).connection_for_read() as connection:
        channel: Any = connection.default_channel
        with Consumer(channel, [replies]):
            client.config_set("maxmemory", 1)
            try:
                channel.maybe_refresh_binding_expiry()
            finally:
                client.config_set("maxmemory", 0)
            client.delete("_kombu.binding.gaugepost.pidbox")
            channel.maybe_refresh_binding_expiry()
            assert client.exists("_kombu.binding.gaugepost.pidbox")
