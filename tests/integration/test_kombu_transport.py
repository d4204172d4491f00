"""Check our transport on a real Redis: a popped bell is acknowledged, even when its connection is lost."""

from __future__ import annotations

import pytest
import redis
from kombu import Consumer

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
