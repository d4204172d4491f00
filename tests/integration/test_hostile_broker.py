"""A worker discards and counts whatever it cannot read from a queue or a control channel, and continues."""

from __future__ import annotations

import base64
import json
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from celery import Celery
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gaugepost import Record, Region
from support.bells import bell
from support.redis_server import free_port
from support.stack import Stack
from support.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from subprocess import Popen

QUEUES = ("gaugepost.eu", "gaugepost.eu.urgent", "gaugepost.eu.ticks")
MAILBOX = "/0.gaugepost.pidbox"
TYPES = ("bytes", "base64", "datetime", "date", "time", "decimal", "uuid", "nonsense")

plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
value = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
)
typed = st.builds(lambda kind, inner: {"__type__": kind, "__value__": inner}, st.sampled_from(TYPES), value)
part = value | typed
deep = st.builds(lambda opening, depth: opening * depth, st.sampled_from(["[", '{"a":', "[{"]), st.integers(1, 50_000))


def packed(body: object) -> str:
    return base64.b64encode(json.dumps(body).encode()).decode()


def question(**parts: Any) -> dict[str, Any]:
    asked = {"method": "ping", "arguments": {}, "destination": None, "pattern": None, "matcher": None}
    return json.loads(bell("x")) | {"body": packed(asked | parts), "headers": {"clock": 1, "expires": 0}}


@st.composite
def mutilated(draw: st.DrawFn) -> dict[str, Any]:
    """Make a bell or an inspection message with one wrong part."""
    message = draw(st.sampled_from([json.loads(bell("gaugepost.eu")), question()]))
    place = draw(st.sampled_from(["", "headers", "properties"]))
    inside = message[place] if place else message
    inside[draw(st.sampled_from(sorted(inside)) | st.text(max_size=6))] = draw(part)
    return message


def asked(name: str, what: Any) -> dict[str, Any]:
    return question(**{name: what})


crooked = st.builds(
    asked, st.sampled_from(["method", "arguments", "destination", "pattern", "reply_to", "ticket", "x"]), part
)
payload = (
    st.builds(json.dumps, mutilated() | crooked | part).map(str.encode) | deep.map(str.encode) | st.binary(max_size=64)
)
KNOWN = [
    b'{"__type__":"bytes","__value__":5}',
    b'{"__type__":"decimal","__value__":"x"}',
    b"[" * 50_000,
    b"\xff\xfe\x00",
    b" " * 2_000_000,
    json.dumps(asked("pattern", "(a+)+$") | {"x": 1}).encode(),
    json.dumps(question() | {"headers": {"clock": 10**4_000}}).encode(),
]


def thrown_away(port: int) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    [line] = [line for line in lines if line.startswith("gaugepost_messages_thrown_away_total{")]
    return float(line.rpartition(" ")[2])


class Target:
    """One worker with its Redis, and the processes that show that it still delivers."""

    def __init__(self, stack: Stack, worker: Popen[bytes], port: int) -> None:
        self.stack, self.worker, self.port = stack, worker, port
        self.redis = stack.redis.client()

    def send(self, message: bytes) -> None:
        for queue in QUEUES:
            self.redis.lpush(queue, message)
        self.redis.publish(MAILBOX, message)

    def delivers(self) -> None:
        record = Record(region=Region.EU, configuration="contact", record={"Email": "joe@example.net"})
        self.stack.producer.enqueue(record).result(timeout=60)
        wait_until(lambda: not any(self.redis.llen(queue) for queue in QUEUES), what="all messages are taken")
        assert self.worker.poll() is None


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    port = free_port()
    with Stack(tmp_path_factory.mktemp("hostile"), metrics_port=port) as stack:
        made = Target(stack, stack.worker(), port)
        made.delivers()  # its metrics have their port, and those of beat have none
        stack.beat()  # an enqueue counts any message of the queue as a bell: the next tick rings
        yield made


@pytest.mark.parametrize("message", KNOWN, ids=range(len(KNOWN)))
def test_message_that_ended_a_worker_is_thrown_away_and_counted(target: Target, message: bytes) -> None:
    before = thrown_away(target.port)
    target.send(message)
    wait_until(lambda: thrown_away(target.port) >= before + len(QUEUES) + 1, what="each of them is counted")
    target.delivers()


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(messages=st.lists(payload, min_size=1, max_size=10))
def test_no_message_at_all_ends_a_worker(target: Target, messages: list[bytes]) -> None:
    for message in messages:
        target.send(message)
    target.delivers()


def test_logs_show_nothing_of_the_messages(target: Target) -> None:
    target.send(json.dumps(asked("jane@example.net", {"\x1b[31m": 1})).encode())
    target.send(b'{"jane@example.net"')
    target.delivers()
    for shown in ("jane", "\x1b", "Traceback", "__type__"):
        assert shown not in target.stack.logs()


def test_worker_still_answers_questions(target: Target) -> None:
    outsider = Celery("outsider", broker=target.stack.redis.url, set_as_current=False)
    outsider.conf.control_exchange = "gaugepost"
    assert wait_until(lambda: outsider.control.inspect(timeout=1).ping())
