"""Make bells in Python like those of the scripts, for tests that push one to a queue."""

from __future__ import annotations

import uuid

from gaugepost.bell import DELIVER, MESSAGE


def bell(queue: str, task: str = DELIVER) -> str:
    """Return one message, ready to be pushed."""
    values = {"queue": queue, "task": task, "id": str(uuid.uuid4()), "tag": str(uuid.uuid4())}
    text = MESSAGE
    for name, value in values.items():
        text = text.replace(f"<{name}>", value)
    return text
