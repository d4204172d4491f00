"""Celery's remote control, limited to the commands that Flower sends and that only read."""

from __future__ import annotations

import functools
from typing import Any

from celery.worker.control import Panel

ALLOWED_COMMANDS = frozenset(
    {
        *("ping", "stats", "conf", "registered", "active_queues", "active", "reserved", "scheduled", "revoked"),
        *("enable_events", "heartbeat"),  # Flower sends the first; both only make a worker send events
    }
)
"""The remote-control commands that a worker answers. Celery has about 25 more, `shutdown` among them."""

_BROKER_FIELDS = ("transport", "hostname", "port", "virtual_host")
"""The fields of the broker that `stats` returns."""


def restrict_remote_control(concurrency: int) -> None:
    """Remove the remote-control commands that change something, and hide the broker's password from `stats`.

    `concurrency`: the number of sender threads, for `stats`. Celery knows only its few threads for bells and ticks.
    """
    for command in set(Panel.data) - ALLOWED_COMMANDS:
        del Panel.data[command]
    theirs = Panel.data["stats"]

    # Celery's own `stats` returns all transport options: the password of Sentinel, and objects that have no JSON.
    @functools.wraps(theirs)
    def stats(state: Any, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - Celery's signature
        shown: dict[str, Any] = theirs(state, **more)
        place = {name: shown["broker"][name] for name in _BROKER_FIELDS}
        pool = {"implementation": shown["pool"]["implementation"], "max-concurrency": concurrency}
        return shown | {"broker": place, "pool": pool}

    Panel.data["stats"] = stats
