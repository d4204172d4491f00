"""Attack running processes as a user who can write to Redis, or read logs and pages."""

from __future__ import annotations

import base64
import json
import os
import pickle
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from gaugepost import Record, Region
from support.bells import bell
from support.redis_server import RedisServer, free_port
from support.stack import Stack
from support.wait import wait_until

PASSWORD = "pass-9f41c7-word"
SCRIPT = "<script>alert(1)</script>"


def record(number: int = 0) -> Record:
    return Record(region=Region.EU, configuration="contact", record={"Email": f"p{number}@example.net"})


def outsider(url: str) -> Celery:
    """Make a Celery app with the broker and the names of its exchanges."""
    app = Celery("outsider", broker=url, set_as_current=False)
    app.conf.update(worker_enable_remote_control=True, control_exchange="gaugepost", event_exchange="gaugepost.events")
    return app


class Evil:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


def hostile(mark: Path) -> list[str | bytes]:
    """Return queue messages that stock Celery runs, keeps, prints, or crashes on."""
    fine = json.loads(bell("gaugepost.eu"))
    evil = base64.b64encode(pickle.dumps(Evil(mark))).decode()
    body = base64.b64encode(json.dumps([["jane@example.net"], {}, {}]).encode()).decode()
    messages = [
        fine | {"body": evil, "content-type": "application/x-python-serialize", "content-encoding": "binary"},
        fine | {"body": body, "headers": fine["headers"] | {"task": "posix.system"}},
        fine | {"body": body},
        fine | {"headers": fine["headers"] | {"task": "celery.chord_unlock"}},
        fine | {"headers": fine["headers"] | {"eta": "2099-01-01T00:00:00+00:00"}},
        fine | {"headers": fine["headers"] | {"id": "\x1b[31m\nforged: a line of its own"}},
        fine | {"body": None},
        fine | {"properties": {}},
        {"body": "", "properties": {}},
        {"__type__": "datetime", "__value__": "jane@example.net"},
        {"__type__": "bytes", "__value__": 5},
        {"__type__": "decimal", "__value__": "x"},
        fine | {"headers": {"__type__": "uuid", "__value__": {"jane@example.net": 1}}},
        {},
        [1, 2],
        5,
    ]
    return [*map(json.dumps, messages), "", "no JSON", b"\xff\xfe\x00", "[" * 50_000, "{" * 100_000, " " * 2_000_000]


def test_no_message_ends_a_worker_or_is_obeyed_or_shown(tmp_path: Path) -> None:
    with Stack(tmp_path) as stack:
        worker = stack.worker()
        stack.beat()
        stack.producer.enqueue(record()).result(timeout=60)
        with stack.redis.client() as client:
            for queue in ("gaugepost.eu", "gaugepost.eu.urgent", "gaugepost.eu.ticks"):
                client.lpush(queue, *hostile(tmp_path / "ran"))
            wait_until(
                lambda: not client.llen("gaugepost.eu") and not client.llen("gaugepost.eu.urgent"),
                what="all were taken",
            )
            assert client.hlen("unacked") == 0
        for number in range(3):
            stack.producer.enqueue(record(number)).result(timeout=60)
        wait_until(lambda: stack.logs().count("message thrown away") >= 3 * len(hostile(tmp_path)))
        assert worker.poll() is None
        assert not (tmp_path / "ran").exists()
        for shown in ("example.net", "forged", "posix", "Traceback"):
            assert shown not in stack.logs()


def test_workers_answer_questions_and_obey_no_order(tmp_path: Path) -> None:
    with Stack(tmp_path) as stack:
        worker = stack.worker()
        stack.producer.enqueue(record()).result(timeout=60)
        control = outsider(stack.redis.url).control
        [name] = wait_until(lambda: control.inspect(timeout=1).ping())
        for command, arguments in {
            "shutdown": {},
            "pool_shrink": {"n": 4},
            "pool_restart": {"modules": ["os"], "reload": True},
            "rate_limit": {"task_name": "gaugepost.deliver", "rate_limit": "1/h"},
            "cancel_consumer": {"queue": "gaugepost.eu"},
            "add_consumer": {"queue": "elsewhere"},
            "autoscale": {"max": 1, "min": 0},
            "disable_events": {},
            "no such\n\x1b[31mcommand": {},
        }.items():
            control.broadcast(command, arguments=arguments)
        with stack.redis.client() as client:
            for garbage in ("5", "{}", "[]", '{"body": 5}', "no JSON"):
                client.publish("/0.gaugepost.pidbox", garbage)
        stack.producer.enqueue(record(1)).result(timeout=60)
        asked = control.inspect([name], timeout=10)
        queues, stats = wait_until(asked.active_queues), wait_until(asked.stats)
        assert {queue["name"] for queue in queues[name]} == {
            "gaugepost.eu",
            "gaugepost.eu.urgent",
            "gaugepost.eu.ticks",
        }
        assert stats[name]["pool"]["max-concurrency"] == 16
        assert worker.poll() is None
        assert "\x1b" not in stack.logs()


def page(port: int, path: str) -> str | None:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        return str(error.code)
    except OSError:
        return None


def orders(port: int, path: str) -> int:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=b"", method="POST")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=10)
    return refused.value.code


def arguments_of(stack: Stack) -> str:
    ours = [Path(f"/proc/{process.pid}/cmdline") for process in stack.processes if process.poll() is None]
    return " ".join(path.read_bytes().replace(b"\0", b" ").decode() for path in ours)


def test_redis_password_is_never_shown_and_flower_refuses_control_calls(tmp_path: Path) -> None:
    redis = RedisServer(tmp_path, "--requirepass", PASSWORD)
    redis.url = f"redis://:{PASSWORD}@127.0.0.1:{redis.port}/0"
    port = free_port()
    with Stack(tmp_path, redis=redis) as stack:
        worker = stack.worker()
        stack.beat()
        stack.run("-m", "gaugepost_ops", "flower", "--port", str(port))
        job = stack.producer.enqueue(record())
        job.result(timeout=60)
        app = outsider(redis.url)
        wait_until(lambda: page(port, "/healthcheck") == "OK", what="Flower answers")
        [name] = wait_until(lambda: app.control.inspect(timeout=1).ping())
        with stack.redis.client() as client:
            client.publish("/0.gaugepost.events/task.failed", "5")

        def shown_of_a_forged_one() -> str | None:  # again each time: Flower may not listen yet
            with app.connection() as connection, app.events.Dispatcher(connection, hostname=SCRIPT) as events:
                events.send("task-failed", uuid="forged", name=SCRIPT, exception=SCRIPT, traceback=SCRIPT, timestamp=1)
            text = page(port, "/task/forged")
            return text if text and "&lt;script&gt;" in text else None

        forged = wait_until(shown_of_a_forged_one)
        of_worker = wait_until(lambda: (text := page(port, f"/worker/{name}")) and name in text and text)
        pages = [forged, of_worker, *(page(port, path) or "" for path in ("/workers", "/tasks", "/broker"))]
        for order in (f"/api/worker/shutdown/{name}", "/api/task/send-task/gaugepost.deliver"):
            assert orders(port, order) == 404
        assert SCRIPT not in "".join(pages)
        for shown in (*pages, stack.logs(), arguments_of(stack), repr(stack.settings), str(vars(stack.producer))):
            assert PASSWORD not in shown
        assert worker.poll() is None


def test_no_error_about_redis_shows_its_password(tmp_path: Path) -> None:
    redis = RedisServer(tmp_path, "--requirepass", "another")
    redis.url = f"redis://:{PASSWORD}@127.0.0.1:{redis.port}/0"
    redis.answers = lambda: True  # type: ignore[method-assign] # it does, and refuses
    with Stack(tmp_path, redis=redis) as stack:
        worker = stack.worker()
        wait_until(stack.logs, what="the worker says something")
        calls = [stack.cli("enqueue", "-", stdin=record().to_json()), stack.cli("status"), stack.cli("check")]
        redis.kill()
        calls.append(stack.cli("jobs"))
        assert all(done.returncode for done in calls)
        shown = "".join(done.stdout + done.stderr for done in calls) + stack.logs()
        assert shown
        assert PASSWORD not in shown
        worker.kill()


PLANTED = """
from gaugepost.ledger import Ledger
def broken(self, *args, **kwargs):
    secret = "local-2b1e" + "-secret"
    raise RuntimeError("a bug")
Ledger.enqueue = broken
"""


def test_a_bug_on_the_command_line_shows_no_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text(PLANTED)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    with Stack(tmp_path) as stack:
        done = stack.cli("enqueue", "-", stdin=record().to_json() + "\n")
        assert "RuntimeError: a bug" in done.stderr
        for shown in ("local-2b1e-secret", "p0@example.net", "eu-secret", "locals"):
            assert shown not in done.stdout + done.stderr
