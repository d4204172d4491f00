"""Check that every line that a process writes is JSON, as log collectors need it."""

from __future__ import annotations

import json
import os
import signal
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from gaugepost import Record, Region
from gaugepost.connection import NOT_SET
from support.redis_server import free_port
from support.stack import Stack
from support.wait import wait_until


def lines(stack: Stack) -> list[str]:
    return [line for line in stack.logs().splitlines() if line]


def logged(stack: Stack) -> list[dict[str, Any]]:
    """Return every event that the processes logged. Raises JSONDecodeError for any other line."""
    return [json.loads(line) for line in lines(stack)]


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def test_every_process_logs_only_json_even_without_redis(tmp_path: Path) -> None:
    with Stack(tmp_path, log_format="json") as stack:
        flower_port, exporter_port = free_port(), free_port()
        stack.worker()
        stack.beat()
        stack.run("-m", "gaugepost_ops", "exporter", "--port", str(exporter_port))
        stack.run("-m", "gaugepost_ops", "flower", "--port", str(flower_port))
        job = Record(region=Region.EU, configuration="multi-object", record={"Email": "lee@example.net"})
        stack.producer.enqueue(job).result(timeout=60)
        pages = (f"http://127.0.0.1:{exporter_port}/metrics", f"http://127.0.0.1:{flower_port}/workers")
        wait_until(lambda: all(map(answers, pages)), what="the pages answer")
        stack.redis.kill()
        wait_until(lambda: "Trying again" in stack.logs(), what="the worker logs that it tries again")
        wait_until(lambda: "tick not sent" in stack.logs(), what="beat logs that Redis is away")
        assert answers(pages[0])
        stack.redis.start()
        stack.producer.enqueue(job).result(timeout=60)
        for process in stack.processes:
            process.send_signal(signal.SIGTERM)
        assert [process.wait(timeout=60) for process in stack.processes] == [0, 0, 0, 0]
        events = logged(stack)
    assert all(event.keys() >= {"event", "level", "timestamp"} for event in events)
    assert [event for event in events if event.get("exc_info", "none") is None] == []
    [again, *_] = [event for event in events if "Trying again" in event["event"]]
    assert again["logger"].startswith("celery.")
    assert "?" not in again["event"]
    assert any("Warm shutdown" in event["event"] for event in events)
    warnings = [event["event"] for event in events if event.get("logger") == "py.warnings"]
    assert any("superuser" in warning for warning in warnings) == (os.geteuid() == 0)


@pytest.mark.parametrize("part", ["worker", "exporter"])
def test_process_that_cannot_continue_logs_why_as_json(tmp_path: Path, part: str) -> None:
    """Start a worker on a ledger of a newer version, and an exporter whose port is taken."""
    with Stack(tmp_path, log_format="json") as stack, stack.redis.client() as client:
        client.set("gaugepost:{eu}:schema", 99)
        taken = stack.sim.url.rpartition(":")[2]
        options = {"worker": ("--region", "eu"), "exporter": ("--port", taken)}[part]
        ended = stack.run("-m", "gaugepost_ops", part, *options)
        assert ended.wait(timeout=60) != 0
        [event] = logged(stack)
        assert {"worker": "the ledger has schema 99", "exporter": "metrics cannot be shown"}[part] in event["event"]


def test_part_without_redis_url_is_refused_in_json_too(tmp_path: Path) -> None:
    with Stack(tmp_path, log_format="json") as stack:
        del stack.variables["GAUGEPOST_REDIS_URL"]
        refused = stack.run("-m", "gaugepost_ops", "exporter", "--port", str(free_port()))
        assert refused.wait(timeout=60) == 2
        assert [event["event"] for event in logged(stack)] == [NOT_SET]
