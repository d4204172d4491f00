"""The bell: a Celery message that says "this region has work". It carries no job.

The Lua script that adds the work also pushes the bell (lua/lib/bells.lua), so the client needs no Celery. The form is
Celery's message protocol 2 as kombu's Redis transport writes it; tests/contract/test_bell_parity.py compares it with
Celery's own message.
"""

from __future__ import annotations

import json
import re
from typing import Any

DELIVER = "gaugepost.deliver"
"""Name of the Celery task that claims and delivers jobs. Never change it: Celery discards messages of unknown tasks."""

_BODY = "W1tdLCB7fSwgeyJjYWxsYmFja3MiOiBudWxsLCAiZXJyYmFja3MiOiBudWxsLCAiY2hhaW4iOiBudWxsLCAiY2hvcmQiOiBudWxsfV0="
"""base64 of `[[], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]`: no arguments."""

_FORM: dict[str, Any] = {
    "body": _BODY,
    "content-encoding": "utf-8",
    "content-type": "application/json",
    "headers": {
        "lang": "py",
        "task": "<task>",
        "id": "<id>",
        "shadow": None,
        "eta": None,
        "expires": None,
        "group": None,
        "group_index": None,
        "retries": 0,
        "timelimit": [None, None],
        "root_id": "<id>",
        "parent_id": None,
        "argsrepr": "",
        "kwargsrepr": "",
        "origin": "gaugepost",
        "ignore_result": True,
        "replaced_task_nesting": 0,
        "stamped_headers": None,
        "stamps": {},
    },
    "properties": {
        "correlation_id": "<id>",
        "reply_to": "",
        "delivery_mode": 2,
        "delivery_info": {"exchange": "", "routing_key": "<queue>"},
        "priority": 0,
        "body_encoding": "base64",
        "delivery_tag": "<tag>",
    },
}


MESSAGE = json.dumps(_FORM, separators=(",", ":"))
"""The message as JSON; the scripts replace `<task>`, `<queue>`, `<id>` and `<tag>`."""


def bell(queue: str, task: str, message_id: str, tag: str) -> dict[str, Any]:
    """Return the message after the replacements, parsed."""
    headers = {**_FORM["headers"], "task": task, "id": message_id, "root_id": message_id}
    info = {"exchange": "", "routing_key": queue}
    properties = {**_FORM["properties"], "correlation_id": message_id, "delivery_info": info, "delivery_tag": tag}
    return {**_FORM, "headers": headers, "properties": properties}


_ID = re.compile(r"([0-9a-f]{8})-0000-4000-a[0-9a-f]{3}-[0-9a-f]{12}")


def pushed_at(message_id: str) -> int | None:
    """Return when a script pushed a message: Unix seconds by Redis' clock, or None for an id of an older version."""
    found = _ID.fullmatch(message_id)
    return int(found[1], 16) if found else None


def lua_bell() -> str:
    """Return the Lua definitions of the message and of the task's name."""
    return f"local BELL = '{MESSAGE}'\nlocal DELIVER = '{DELIVER}'"
