"""Check Flower by its API and its command: it shows jobs instead of bells, and requires a login."""

from __future__ import annotations

import base64
import json
import signal
import socket
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from gaugepost import JobState, PersonalLink, Record, Region, Response
from support.redis_server import Watched, free_port
from support.stack import Stack, kill
from support.wait import wait_until

LOGIN = "operator:correct-horse-7"


def flower_says(port: int, path: str, host: str | None = None, login: str | None = LOGIN) -> Any:
    """Return a page's JSON or text, its status if that is an error, or None while Flower does not answer."""
    basic = {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"} if login else {}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=basic | ({"Host": host} if host else {}))
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            text = answer.read().decode()
            return json.loads(text) if path.startswith("/api") else text
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def start_flower(stack: Stack, *options: str) -> tuple[Any, int]:
    port = free_port()
    flower = stack.run("-m", "gaugepost_ops", "flower", "--port", str(port), *options)
    wait_until(lambda: flower_says(port, "/healthcheck") == "OK", what="Flower answers")
    return flower, port


def test_flower_lists_each_job_with_its_true_state_and_no_personal_data(tmp_path: Path) -> None:
    with Stack(tmp_path, flower_basic_auth=LOGIN, backoff__server_error="1h,1h") as stack:
        flower, port = start_flower(stack)
        worker = stack.worker()
        stack.beat()
        wait_until(lambda: flower_says(port, "/api/workers?refresh=1"), what="flower sees the worker")

        def enqueue(email: str) -> str:
            record = {"Email": email, "Name": "Jane Roe"}
            job = PersonalLink(region=Region.EU, configuration="multi-object", record=record)
            return stack.producer.enqueue(job).id

        delivered, parked, dead = map(enqueue, ("jane@example.net", "no-campaign@example.com", "duplicate@example.com"))
        record = stack.producer.enqueue(
            Record(region=Region.EU, configuration="contact", record={"Email": "x@example.net"})
        )
        record.result(timeout=60)
        stack.sim.fault("status", endpoint="records", code=500, times=1)
        late = stack.producer.enqueue(
            Record(region=Region.EU, configuration="contact", record={"Email": "y@example.net"})
        )
        wait_until(lambda: "parked: server_error" in str(flower_says(port, f"/api/task/info/{late.id}")))
        stack.producer.ledger(Region.EU).replay([late.id])
        late.result(timeout=60)
        wait_until(lambda: stack.producer.state(parked) is JobState.PARKED)
        states = {delivered: "SUCCESS", parked: "RETRY", dead: "FAILURE", record.id: "SUCCESS", late.id: "SUCCESS"}
        wait_until(lambda: {i: task["state"] for i, task in (flower_says(port, "/api/tasks") or {}).items()} == states)
        tasks = flower_says(port, "/api/tasks")
        assert {task["name"] for task in tasks.values()} == {"gaugepost.personal_link", "gaugepost.record"}
        assert tasks[parked]["exception"].startswith("parked: no_campaign until 20")
        assert tasks[dead]["exception"] == "dead: duplicate"
        assert not tasks[late.id]["exception"], "what it waited for before"
        shown = json.dumps([tasks, flower_says(port, "/api/workers?refresh=1")])
        for personal in ("example", "Jane", "eu-secret", "eu-key"):
            assert personal not in shown
        worker.send_signal(signal.SIGTERM)
        flower.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=60) == 0


def test_with_sentinels_too_flower_shows_workers_and_queues_and_no_password(tmp_path: Path) -> None:
    (tmp_path / "stack").mkdir()
    with (
        Watched(tmp_path) as watched,
        Stack(tmp_path / "stack", redis=watched.master, redis_url=watched.url, flower_basic_auth=LOGIN) as stack,
    ):
        stack.worker()
        _, port = start_flower(stack)

        def stats() -> Any:
            workers = flower_says(port, "/api/workers?refresh=1") or {}
            return [worker["stats"] for worker in workers.values() if "stats" in worker]

        [stats_of_worker] = wait_until(stats, what="the worker reports its statistics")
        assert stats_of_worker["broker"].keys() == {"transport", "hostname", "port", "virtual_host"}
        lengths = flower_says(port, "/api/queues/length")["active_queues"]
        queues = {f"gaugepost.{region}{which}" for region in ("eu", "us", "au") for which in ("", ".urgent", ".ticks")}
        assert {row["name"]: row["messages"] for row in lengths} == dict.fromkeys(queues, 0)
        broker = flower_says(port, "/broker")
        assert "sentinel://:**@" in broker
        assert watched.password not in broker + json.dumps(stats_of_worker) + stack.logs()
        assert "Traceback" not in stack.logs()


def test_beyond_this_machine_it_does_not_start_without_a_login(tmp_path: Path) -> None:
    with Stack(tmp_path) as stack:
        for address in ("0.0.0.0", "::", "", "192.0.2.1", "a.host.invalid"):
            done = stack.cli("flower", "--address", address, "--port", str(free_port()))
            assert done.returncode == 2
            assert "GAUGEPOST_FLOWER_BASIC_AUTH" in done.stderr


def test_taken_port_is_reported_with_what_helps(tmp_path: Path) -> None:
    with Stack(tmp_path) as stack, socket.create_server(("127.0.0.1", 0)) as theirs:
        port = theirs.getsockname()[1]
        done = stack.cli("flower", "--port", str(port))
    assert done.returncode == 2
    assert f"cannot listen on port {port} of 127.0.0.1 (Address already in use)" in done.stderr
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost"])
def test_without_a_login_only_this_machines_own_browser_sees_it(tmp_path: Path, address: str) -> None:
    (tmp_path / "flowerconfig.py").write_text("raise SystemExit('a file of the current folder is executed')\n")
    with pytest.MonkeyPatch.context() as theirs, Stack(tmp_path) as stack:
        for name, value in {"UNAUTHENTICATED_API": "true", "ADDRESS": "0.0.0.0", "READ_ONLY": "false"}.items():
            theirs.setenv(f"FLOWER_{name}", value)
        _, port = start_flower(stack, "--address", address)
        assert "Workers" in flower_says(port, "/", login=None)
        for path in ("/", "/tasks", "/metrics", "/no-such-page"):
            assert flower_says(port, path, host="rebound.example", login=None) == 403
        assert flower_says(port, "/api/tasks", login=None) == 401, "Flower's API is closed without a login"


def test_option_file_cannot_open_flower_without_a_login(tmp_path: Path) -> None:
    conf = tmp_path / "mine.py"
    conf.write_text(
        "from gaugepost_ops.flower.flowerconfig import *\n"
        "tasks_columns = 'uuid'\nread_only = False\nbasic_auth = ['a:b']\ndebug = True\n"
    )
    with Stack(tmp_path, flower_basic_auth=LOGIN) as stack:
        stack.worker()
        _, port = start_flower(stack, "--conf", str(conf))
        assert flower_says(port, "/", login="a:b") == 401
        assert "<th data-column" in flower_says(port, "/tasks")
        assert "Exception" not in flower_says(port, "/tasks")
        [name] = wait_until(lambda: flower_says(port, "/api/workers?status=1"), what="flower sees the worker")
        # A page of 404 until the worker has answered Flower's questions, for which it has a second.
        shown = wait_until(lambda: (page := flower_says(port, f"/worker/{name}")) != 404 and page)
        assert name in shown
        assert "Grow" not in shown
        assert stack.cli("flower", "--conf", "no-such-file.py").returncode == 2


def test_jobs_of_a_lost_worker_are_shown_with_their_outcome(tmp_path: Path) -> None:
    with Stack(tmp_path, flower_basic_auth=LOGIN, connect_timeout=1, read_timeout=8, lease=10) as stack:
        _, port = start_flower(stack)
        lost = stack.worker()
        stack.beat()
        wait_until(lambda: flower_says(port, "/api/workers?status=1"), what="flower sees the worker")
        stack.sim.knobs(latency_ms={"response": 6000})
        job = stack.producer.enqueue(Response(region=Region.EU, fields={"Email": "lee@example.net"}))
        with stack.redis.client() as client:
            wait_until(lambda: client.hget(f"gaugepost:{{eu}}:job:{job.id}", "marked"))
        wait_until(lambda: state_of(port, job.id) == ("STARTED", None))
        kill(lost)
        stack.worker()
        wait_until(lambda: state_of(port, job.id)[0] == "FAILURE", what="the lease ends, and Flower gets the event")
        assert str(state_of(port, job.id)[1]).startswith("unknown: ")
        assert job.state() is JobState.UNKNOWN


def state_of(port: int, job: str) -> tuple[str, str | None]:
    task = (flower_says(port, "/api/tasks") or {}).get(job, {})
    return task.get("state", ""), task.get("exception")


@pytest.mark.parametrize("events", ["on", "off"])
def test_events_of_jobs_can_be_turned_off(tmp_path: Path, events: str) -> None:
    with Stack(tmp_path, events=events) as stack, stack.redis.client() as client, client.pubsub() as heard:
        heard.psubscribe("*gaugepost.events*")
        worker = stack.worker()
        job = stack.producer.enqueue(
            Record(region=Region.EU, configuration="contact", record={"Email": "x@example.net"})
        )
        job.result(timeout=60)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=60) == 0
        channels = {
            str(message["channel"]) for message in iter(heard.get_message, None) if message["type"] == "pmessage"
        }
        assert any("worker.offline" in channel for channel in channels), "the last event was received"
        assert any("task.multi" in channel for channel in channels) == (events == "on")
