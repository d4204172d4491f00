"""The Celery app of one region: its queues, its settings with their reasons, and its five tasks.

Celery only wakes workers: jobs are in the ledger, so nothing here relies on Celery's delivery guarantees. Decision 0002
in `ops/decisions/` has the measurements behind the settings.
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
"""Task name → seconds between two ticks."""

_OVERRIDES = ("CELERY_BROKER_URL", "CELERY_BROKER_READ_URL", "CELERY_BROKER_WRITE_URL")

SETTINGS: dict[str, Any] = {
    # A bell may be lost or repeated, so the cheapest way is right: no results, early acknowledgement. With late
    # acknowledgement each dropped consumer socket runs a task twice.
    "task_ignore_result": True,
    "task_store_errors_even_if_ignored": False,
    "task_acks_late": False,
    "task_reject_on_worker_lost": False,
    "task_publish_retry": True,
    "task_publish_retry_policy": {"max_retries": 3, "interval_start": 0.1, "interval_step": 0.3, "interval_max": 1},
    # Messages are bells and ticks: no pickle, and no queue that a typing error creates.
    "task_serializer": "json",
    "accept_content": ["json"],
    "task_create_missing_queues": False,
    "task_protocol": 2,
    "enable_utc": True,
    "timezone": "UTC",
    "broker_transport_options": {
        "socket_timeout": 10,  # else a publish on a dead socket blocks for ever; must be longer than BRPOP's 1 s
        "socket_connect_timeout": 3,
        "socket_keepalive": True,
        "health_check_interval": 10,  # detects a half-open consumer after 21 s instead of 51
        "max_connections": 100,  # the default of 10 is too few for a thread pool
        "client_name": "gaugepost-worker",
        "priority_steps": [0],  # messages have no priority: BRPOP reads 3 lists instead of 12
    },
    "broker_connection_retry_on_startup": True,  # workers may start before Redis
    "broker_connection_max_retries": None,  # the default gives up after 100
    "broker_channel_error_retry": True,  # wait while Redis is full, read-only or loading, instead of ending
    "worker_pool": "threads",  # prefork sometimes hangs at shutdown, gevent costs several times more for each job
    "worker_prefetch_multiplier": 1,
    "worker_disable_rate_limits": True,
    "worker_enable_remote_control": True,  # for Flower; `remote_control.py` allows only commands that read
    "worker_cancel_long_running_tasks_on_connection_loss": False,  # would cut off requests
    "worker_soft_shutdown_timeout": 0,  # broken on threads
    "worker_hijack_root_logger": False,
    "worker_send_task_events": True,  # for Flower; the tasks themselves send none
    "task_send_sent_event": False,
}


class TaskHandler(Protocol):
    """What the Celery tasks of a region call: the worker of this process."""

    def deliver(self) -> None:
        """Claim and deliver jobs until no work is left."""

    def tick(self, name: str) -> None:
        """Do the work of one tick. Raises StoreError."""


def make_app(
    region: Region, broker_url: str, handler: TaskHandler | None = None, *, namespace: str = NAMESPACE
) -> Celery:
    """Build the Celery app of one region. Without a handler its tasks do nothing: Flower needs only their names.

    Raises SettingsError if `broker_url` is wrong.
    """
    for name in _OVERRIDES:  # celery prefers these to its settings: it would use another Redis
        os.environ.pop(name, None)
    keys = Keys(region, namespace)
    app = Celery(f"gaugepost-{region}", set_as_current=False)
    there, options = broker(broker_url)
    bells = {keys.urgent_queue: [DELIVER], keys.queue: [DELIVER], keys.tick_queue: [*TICKS]}
    options = SETTINGS["broker_transport_options"] | options | {"bells": bells}
    # no_ack: a popped message counts as acknowledged. So kombu stores no unacknowledged messages (a full Redis would
    # refuse that), restores none after a lost connection, and needs no visibility timeout (see kombu_transport.py).
    queues = [Queue(name, no_ack=True) for name in keys.queues]
    app.conf.update(SETTINGS | there, broker_transport_options=options)
    app.conf.update(task_queues=queues, task_default_queue=keys.queue)
    # By default all Celery apps of a Redis share these names: `control shutdown` of another app would end our workers.
    app.conf.update(
        control_exchange=keys.control_exchange,
        event_exchange=keys.event_exchange,
        event_queue_prefix=keys.event_exchange,
    )

    # shared=False: celery would add these tasks, with this handler, to every other app of the process.
    task = functools.partial(app.task, send_events=False, shared=False, Strategy=f"{hand_over.__module__}:hand_over")

    @task(name=DELIVER)
    def deliver() -> None:
        if handler is not None:
            handler.deliver()

    for name in TICKS:
        task(name=name)(_tick(handler, name))
    return app


def run_tick(handler: TaskHandler, name: str) -> None:
    """Do the work of one tick. If Redis is away, log that: the next tick comes soon."""
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
