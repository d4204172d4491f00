"""The bell: a Celery message that says "this region has work" and carries nothing else.

The scripts ring it (lua/lib/base.lua), in the step that makes the work: the client needs no Celery. This is Celery's
protocol 2 in kombu's Redis form; a parity test compares it with what celery itself sends.
"""

from __future__ import annotations

import json
import re
from typing import Any

DELIVER = "gaugepost.deliver"
"""Name of the one task that does the work; frozen, since a message of another name is thrown away by Celery."""

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
"""The message; the scripts fill in `<task>`, `<queue>`, `<id>` and `<tag>`."""


def bell(queue: str, task: str, message_id: str, tag: str) -> dict[str, Any]:
    """Return the message as its reader sees it."""
    headers = {**_FORM["headers"], "task": task, "id": message_id, "root_id": message_id}
    info = {"exchange": "", "routing_key": queue}
    properties = {**_FORM["properties"], "correlation_id": message_id, "delivery_info": info, "delivery_tag": tag}
    return {**_FORM, "headers": headers, "properties": properties}


_ID = re.compile(r"([0-9a-f]{8})-0000-4000-a[0-9a-f]{3}-[0-9a-f]{12}")


def pushed_at(message_id: str) -> int | None:
    """Return when a script pushed a message, Unix seconds by Redis' clock; None for the ids of older versions."""
    found = _ID.fullmatch(message_id)
    return int(found[1], 16) if found else None


def lua_bell() -> str:
    """Write the message for the scripts."""
    return f"local BELL = '{MESSAGE}'\nlocal DELIVER = '{DELIVER}'"
