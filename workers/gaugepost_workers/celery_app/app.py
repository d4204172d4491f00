"""The Celery app of one region: its queues, its settings with their reasons, and its five tasks.

Celery only rings: the ledger is the truth, so nothing here relies on Celery's delivery guarantees. The measurements
behind each setting are in `ops/decisions/`.
"""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from celery import Celery
from kombu import Queue

from gaugepost.bell import DELIVER
from gaugepost.errors import StoreError
from gaugepost.keys import NAMESPACE, Keys
from gaugepost_workers.celery_app.kombu_transport import broker
from gaugepost_workers.celery_app.strategy import hand_over

if TYPE_CHECKING:
    from collections.abc import Callable

    from gaugepost.regions import Region

log = structlog.get_logger("gaugepost.ticks")

PROMOTE, RESCUE, OPEN_SLOT, SWEEP = "gaugepost.promote", "gaugepost.rescue", "gaugepost.open_slot", "gaugepost.sweep"

TICKS: dict[str, float] = {PROMOTE: 1.0, RESCUE: 2.0, OPEN_SLOT: 1.0, SWEEP: 60.0}
"""Task name → seconds between two ticks. Short, because beat starts an interval anew at each restart."""

_OVERRIDES = ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL")

SETTINGS: dict[str, Any] = {
    # Bells may be lost or doubled, so the cheapest way is right: no results, acknowledged as they are taken. Late
    # acknowledgement runs a task twice for every dropped consumer socket.
    "task_ignore_result": True,
    "task_store_errors_even_if_ignored": False,
    "task_acks_late": False,
    "task_reject_on_worker_lost": False,
    "task_publish_retry": True,
    "task_publish_retry_policy": {"max_retries": 3, "interval_start": 0.1, "interval_step": 0.3, "interval_max": 1},
    # A message can only be a bell: no pickle, and no queue that springs up from a typing error.
    "task_serializer": "json",
    "accept_content": ["json"],
    "task_create_missing_queues": False,
    "task_protocol": 2,
    "enable_utc": True,
    "timezone": "UTC",
    "broker_transport_options": {
        "socket_timeout": 10,  # without it a publish on a dead socket blocks for ever; longer than BRPOP's second
        "socket_connect_timeout": 3,
        "socket_keepalive": True,
        "health_check_interval": 10,  # a half-open consumer is found after 21 s rather than 51
        "max_connections": 100,  # the default, 10, is too few for a pool of threads
        "client_name": "gaugepost-worker",
        "priority_steps": [0],  # no message has a priority: a BRPOP of 3 lists, not 12
    },
    "broker_connection_retry_on_startup": True,  # workers may start before Redis
    "broker_connection_max_retries": None,  # by default it gives up after 100
    "broker_channel_error_retry": True,  # out of memory, read-only, loading: wait instead of ending
    "worker_pool": "threads",  # prefork hangs now and then at shutdown, gevent costs several times more a job
    "worker_prefetch_multiplier": 1,
    "worker_disable_rate_limits": True,
    "worker_enable_remote_control": True,  # Flower asks by it; `message_filter.py` leaves of it what only looks
    "worker_cancel_long_running_tasks_on_connection_loss": False,  # would cut requests in half
    "worker_soft_shutdown_timeout": 0,  # broken on threads
    "worker_hijack_root_logger": False,
    "worker_send_task_events": True,  # for Flower; the bell's own task and the ticks send none
    "task_send_sent_event": False,
}


class TaskHandler(Protocol):
    """What a region's tasks call: one worker process's own parts."""

    def deliver(self) -> None:
        """Work until there is no more."""

    def tick(self, name: str) -> None:
        """Do the work of one tick."""


def make_app(
    region: Region, broker_url: str, handler: TaskHandler | None = None, *, namespace: str = NAMESPACE
) -> Celery:
    """Build the app of one region; without a handler (Flower, beat) its tasks are only names."""
    for name in _OVERRIDES:  # celery would listen to these rather than to the settings: to another Redis
        os.environ.pop(name, None)
    keys = Keys(region, namespace)
    app = Celery(f"gaugepost-{region}", set_as_current=False)
    there, options = broker(broker_url)
    bells = {keys.urgent_queue: [DELIVER], keys.queue: [DELIVER], keys.tick_queue: [*TICKS]}
    options = SETTINGS["broker_transport_options"] | options | {"bells": bells}
    # Acknowledged as they are popped: no message is ever unacknowledged, so there is none to write (which a full Redis
    # refuses), none to restore at a lost connection, and no visibility timeout (see kombu_transport.py).
    queues = [Queue(name, no_ack=True) for name in keys.queues]
    app.conf.update(SETTINGS | there, broker_transport_options=options)
    app.conf.update(task_queues=queues, task_default_queue=keys.queue)
    # By default all Celery applications of a Redis share these: another one's `control shutdown` would end our workers.
    app.conf.update(
        control_exchange=keys.control_exchange,
        event_exchange=keys.event_exchange,
        event_queue_prefix=keys.event_exchange,
    )

    # Not shared: celery would give them to every other app of this process too, with this one's handler.
    task = functools.partial(app.task, send_events=False, shared=False, Strategy=f"{hand_over.__module__}:hand_over")

    @task(name=DELIVER)
    def deliver() -> None:
        if handler is not None:
            handler.deliver()

    for name in TICKS:
        task(name=name)(_tick(handler, name))
    return app


def run_tick(handler: TaskHandler, name: str) -> None:
    """Do the work of one tick. A Redis that is away costs this one: the next tick is never far."""
    try:
        handler.tick(name)
    except StoreError as error:
        log.warning("tick failed", tick=name, error=str(error))


def _tick(handler: TaskHandler | None, name: str) -> Callable[[], None]:
    def tick() -> None:
        if handler is not None:
            run_tick(handler, name)

    tick.__name__ = name.rpartition(".")[2]
    return tick
