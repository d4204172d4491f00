"""Which messages and remote-control commands reach Celery. Each attack is a message."""

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
from gaugepost_workers.celery_app.app import TICKS, make_app
from gaugepost_workers.celery_app.message_check import fault_of, fault_of_command
from gaugepost_workers.celery_app.remote_control import ALLOWED_COMMANDS
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
def test_fault_of_a_foreign_message_does_not_quote_it(message: object, fault: str) -> None:
    assert fault_of(message, [DELIVER]) == fault


@pytest.mark.parametrize("task", [DELIVER, *TICKS])
def test_our_bells_and_ticks_have_no_fault(task: str) -> None:
    assert fault_of(json.loads(rung("eu", task)), [task]) is None


def test_bell_of_a_later_version_may_have_more_headers() -> None:
    assert fault_of(bell(headers={"colour": "red", "stamps": {"a": "b"}}, colour="red"), [DELIVER]) is None


def test_other_queues_need_only_well_formed_messages() -> None:
    assert fault_of(bell(body=packed({"method": "ping"}), headers={"ticket": "x"}), None) is None
    for message in ({}, 5, bell(headers=None) | {"properties": {}}, bell() | {"headers": []}):
        assert fault_of(message, None) is not None


def command(*, headers: dict[str, Any] | None = None, **parts: Any) -> Any:
    body = {"method": "ping", "arguments": {}, "destination": None, "pattern": None, "matcher": None} | parts
    return bell(body=packed(body), headers={"clock": 1, "expires": 0} | (headers or {}))


FORBIDDEN_COMMANDS = {
    "an order": (command(method="shutdown"), "another command"),
    "a regular expression": (command(pattern="(a+)+$", matcher="pcre"), "body.pattern"),
    "names of our attributes": (command(method="registered", arguments={"taskinfoitems": ["app"]}), "body.arguments"),
    "arguments of its own": (command(arguments={"jane@example.net": 1}), "body.arguments"),
    "members of its own": (command(**{"jane@example.net": 1}), "body.other"),
    "a type of kombu's": (command(destination={"__type__": "bytes", "__value__": 5}), "body.destination"),
    "no text as a command": (command(method=5), "body.method"),
    "a clock that is text": (command(headers={"clock": "x"}), "headers.clock"),
    "a clock of 4,000 digits": (command(headers={"clock": 10**4_000}), "headers.clock"),
    "packed": (command(headers={"compression": "application/x-gzip"}), "headers.compression"),
    "a way to a queue that is no name": (command(reply_to={"exchange": "x y", "routing_key": ""}), "body.reply_to"),
    "a list": (bell(body=packed([1, 2])), "body"),
    "no JSON": (bell(body=packed(b"\xff\xfe")), "body"),
}


@pytest.mark.parametrize(("message", "fault"), FORBIDDEN_COMMANDS.values(), ids=FORBIDDEN_COMMANDS)
def test_fault_of_a_forbidden_command_does_not_quote_it(message: object, fault: str) -> None:
    assert fault_of_command(message) == fault


@pytest.mark.parametrize(
    "sent",
    [
        {"method": "stats"},
        {"method": "registered", "arguments": {"taskinfoitems": []}},
        {"method": "conf", "arguments": {"with_defaults": False}},
        {"method": "active", "arguments": {"safe": None}, "destination": ["eu-1@host"]},
        {"ticket": "a-b", "reply_to": {"exchange": "reply.gaugepost.pidbox", "routing_key": "a-b"}},
    ],
)
def test_allowed_command_as_celery_sends_it_has_no_fault(sent: dict[str, Any]) -> None:
    assert fault_of_command(command(**sent)) is None


def test_each_queue_of_a_region_has_its_own_tasks() -> None:
    options = make_app(Region.EU, "redis://127.0.0.1:1/0").conf.broker_transport_options
    assert options["bells"] == {
        "gaugepost.eu.urgent": [DELIVER],
        "gaugepost.eu": [DELIVER],
        "gaugepost.eu.ticks": list(TICKS),
    }


@pytest.mark.starts_process
def test_worker_keeps_only_the_allowed_commands() -> None:
    code = (
        "from celery.worker.control import Panel;"
        "from gaugepost_workers.celery_app.remote_control import restrict_remote_control;"
        "restrict_remote_control(16); print(*Panel.data)"
    )
    left = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert set(left) == ALLOWED_COMMANDS
    assert not {"shutdown", "pool_restart", "rate_limit", "cancel_consumer", "terminate", "disable_events"} & set(left)
