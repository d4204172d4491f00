"""What Celery gets to see of a queue, and what of remote control is left: each attack as a message."""

from __future__ import annotations

import base64
import json
import pickle
import subprocess
import sys
from typing import Any

import pytest

from gaugepost import Region
from gaugepost.bell import DELIVER
from gaugepost_workers.app import TICKS, make_app
from gaugepost_workers.guard import QUESTIONS, fault_of
from support.bells import bell as rung


def bell(*, headers: dict[str, Any] | None = None, properties: dict[str, Any] | None = None, **parts: Any) -> Any:
    message = json.loads(rung("eu"))
    message["headers"] |= headers or {}
    message["properties"] |= properties or {}
    return message | parts


def packed(body: object) -> str:
    return base64.b64encode(body if isinstance(body, bytes) else json.dumps(body).encode()).decode()


CALLED_BACK = {"callbacks": [{"task": DELIVER}], "errbacks": None, "chain": None, "chord": None}
HOSTILE = {
    "a pickle": (bell(body=packed(pickle.dumps([])), **{"content-type": "application/x-python-serialize"}), "body"),
    "a pickle that says it is JSON": (bell(body=packed(pickle.dumps([]))), "body"),
    "YAML": (bell(**{"content-type": "application/x-yaml"}), "content-type"),
    "another encoding": (bell(**{"content-encoding": "binary"}), "content-encoding"),
    "a task of Celery's own": (bell(headers={"task": "celery.chord_unlock"}), "another task"),
    "a tick in a queue of bells": (bell(headers={"task": "gaugepost.sweep"}), "another task"),
    "arguments": (bell(body=packed([["jane@example.net"], {}, {}])), "body.0"),
    "named arguments": (bell(body=packed([[], {"jane@example.net": 1}, {}])), "body.1"),
    "a callback": (bell(body=packed([[], {}, CALLED_BACK])), "body.2"),
    "a body that is none": (bell(body=packed(b"{not json")), "body"),
    "a body that is no base64": (bell(body="§"), "body"),
    "no body": (bell(body=None), "body"),
    "a deep body": (bell(body=packed(b"[" * 100_000)), "body"),
    "packed": (bell(headers={"compression": "application/x-gzip"}), "headers.compression"),
    "later": (bell(headers={"eta": "2099-01-01T00:00:00+00:00"}), "headers.eta"),
    "expired": (bell(headers={"expires": "nonsense"}), "headers.expires"),
    "again": (bell(headers={"retries": 5}), "headers.retries"),
    "a time limit": (bell(headers={"timelimit": ["a", "b"]}), "headers.timelimit"),
    "an id that writes to a terminal": (bell(headers={"id": "\x1b[31m\nroot: all is well"}), "headers.id"),
    "no tag": (bell(properties={"delivery_tag": None}), "properties.delivery_tag"),
    "no route": (bell(properties={"delivery_info": 5}), "properties.delivery_info"),
    "another form": (bell(properties={"body_encoding": "zlib"}), "properties.body_encoding"),
    "no parts": ({}, "body"),
    "no message": ([1, 2], "no message"),
}


@pytest.mark.parametrize(("message", "fault"), HOSTILE.values(), ids=HOSTILE)
def test_a_message_that_is_no_bell_is_told_by_its_fault_and_not_by_its_text(message: object, fault: str) -> None:
    assert fault_of(message, [DELIVER]) == fault


@pytest.mark.parametrize("task", [DELIVER, *TICKS])
def test_every_bell_and_tick_of_ours_is_let_through(task: str) -> None:
    assert fault_of(json.loads(rung("eu", task)), [task]) is None


def test_a_bell_of_a_later_version_may_have_more_headers() -> None:
    assert fault_of(bell(headers={"colour": "red", "stamps": {"a": "b"}}, colour="red"), [DELIVER]) is None


def test_what_is_no_bell_of_a_queue_needs_only_the_shape_of_a_message() -> None:
    assert fault_of(bell(body=packed({"method": "ping"}), headers={"ticket": "x"}), None) is None
    for message in ({}, 5, bell(headers=None) | {"properties": {}}, bell() | {"headers": []}):
        assert fault_of(message, None) is not None


def test_each_queue_of_a_region_has_its_own_tasks() -> None:
    options = make_app(Region.EU, "redis://127.0.0.1:1/0").conf.broker_transport_options
    assert options["bells"] == {"eu.urgent": [DELIVER], "eu": [DELIVER], "eu.ticks": list(TICKS)}


@pytest.mark.starts_process
def test_a_worker_answers_questions_and_obeys_nobody() -> None:
    code = (
        "from celery.worker.control import Panel; from gaugepost_workers.guard import answer_questions_only;"
        "answer_questions_only(); print(*Panel.data)"
    )
    left = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert set(left) == QUESTIONS
    assert not {"shutdown", "pool_restart", "rate_limit", "cancel_consumer", "terminate", "disable_events"} & set(left)
