"""The bell: a Celery message that says "this region has work" and carries nothing else.

The client needs no Celery to ring it: these are the bytes of Celery's protocol 2 in kombu's Redis form. A parity
test compares them with what celery itself sends.
"""

from __future__ import annotations

import json
import os

DELIVER = "gaugepost.deliver"
"""Name of the one task that does the work; frozen, since a message of another name is thrown away by Celery."""

_BODY = "W1tdLCB7fSwgeyJjYWxsYmFja3MiOiBudWxsLCAiZXJyYmFja3MiOiBudWxsLCAiY2hhaW4iOiBudWxsLCAiY2hvcmQiOiBudWxsfV0="
"""base64 of `[[], {}, {"callbacks": null, "errbacks": null, "chain": null, "chord": null}]`: no arguments."""


def _template(queue: str, task: str) -> str:
    message = {
        "body": _BODY,
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {
            "lang": "py",
            "task": task,
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
            "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": "<tag>",
        },
    }
    return json.dumps(message, separators=(",", ":"))


class Bell:
    """Makes the bells of one queue: each has an id and a delivery tag of its own, as kombu needs."""

    def __init__(self, queue: str, task: str = DELIVER) -> None:
        self._template = _template(queue, task)

    def __call__(self) -> str:
        """Return one message, ready to be pushed to the head of the queue's list."""
        return self._template.replace("<id>", _uuid()).replace("<tag>", _uuid())


def _uuid() -> str:
    """Return a random UUID (version 4) at a third of what the uuid module takes."""
    text = os.urandom(16).hex()
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"
