"""Webhooks with real workers: two regions, killed workers and Redis, older versions, moves, and the page's receiver."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from gaugepost import PersonalLink, Producer, Region, Settings
from support.deployment import ROOT
from support.factories import record
from support.moves import run, steps, url_file
from support.old_versions import OLDER_NAMES, Old
from support.redis_server import RedisServer, free_port
from support.stack import Stack, kill
from support.wait import wait_until
from support.webhook_receiver import Receiver

FINE: dict[str, Any] = {"configuration": "multi-object"}
JOB: dict[str, Any] = {
    "kind": "record",
    "configuration": "multi-object",
    "record": {"Email": "joe.doe@example.com"},
    "region": "eu",
}
EMAIL = "very-personal@example.net"


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    quick = {"connect_timeout": 1, "read_timeout": 3, "lease": 6, "webhook_networks": "127.0.0.0/8"}
    with Stack(tmp_path, **quick) as stack:
        yield stack


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def add(stack: Stack, receiver: Receiver, *more: str) -> str:
    done = stack.cli("webhooks", "add", receiver.url, *more, "--json")
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)
    receiver.secrets.append(row["secret"])
    return str(row["id"])


def delivered(receiver: Receiver) -> set[str]:
    return {event["data"]["id"] for event in receiver.events() if event["type"] == "job.delivered"}


def test_receiver_of_two_regions_gets_no_data_of_jobs(stack: Stack, receiver: Receiver) -> None:
    add(stack, receiver)
    fields = FINE | {"record": {"Email": EMAIL}, "labels": ("spring",), "idempotency_key": "order-1", "source": "crm"}
    ids = [stack.producer.enqueue(record(**fields, region=region)).id for region in ("eu", "us")]
    stack.worker("eu")
    stack.worker("us")
    wait_until(lambda: delivered(receiver) == set(ids), what=stack.undelivered)
    assert stack.cli("hold", "us", "--reason", f"ask {EMAIL}").returncode == 0
    wait_until(lambda: len(receiver.effects) == 3)
    assert {event["data"]["region"] for event in receiver.events()} == {"eu", "us"}
    assert {event["data"].get("idempotency_key") for event in receiver.events()} == {"order-1", None}
    assert all(EMAIL.encode() not in body for _, body in receiver.raw)
    assert receiver.secrets[0] not in stack.logs()
    assert receiver.url not in stack.logs()


def test_killed_workers_and_redis_lose_no_event(stack: Stack, receiver: Receiver) -> None:
    add(stack, receiver, "--region", "eu")
    worker = stack.worker()
    jobs = {job.id for job in stack.producer.enqueue_many(record(**FINE, source=f"s{n}") for n in range(300))}
    wait_until(lambda: len(receiver.effects) > 20, what=stack.undelivered)
    kill(worker)
    worker = stack.worker()
    wait_until(lambda: len(receiver.effects) > 100, what=stack.undelivered)
    stack.redis.kill()
    stack.redis.start()
    wait_until(lambda: delivered(receiver) == jobs, within=150, what=stack.undelivered)
    assert receiver.forged == 0


def test_receiver_that_was_down_gets_what_happened_meanwhile(stack: Stack, receiver: Receiver) -> None:
    receiver.stop()
    endpoint = add(stack, receiver)
    job = stack.producer.enqueue(record(**FINE)).id
    stack.worker()
    wait_until(lambda: "connection refused" in stack.cli("webhooks", "failures", endpoint).stdout)
    with receiver:
        wait_until(lambda: delivered(receiver) == {job}, what=stack.undelivered)


def test_dead_receiver_delays_no_job(stack: Stack, receiver: Receiver) -> None:
    """The receiver takes connections and never answers: the jobs and the other receiver's events go on."""
    receiver.hook = lambda _: wait_until(lambda: receiver.secrets == [], within=60) and 500
    slow = add(stack, receiver)
    with Receiver() as other:
        add(stack, other)
        stack.worker()
        jobs = {job.id for job in stack.producer.enqueue_many(record(**FINE, source=f"s{n}") for n in range(200))}
        wait_until(lambda: delivered(other) == jobs, within=30, what=stack.undelivered)
    assert slow in stack.cli("webhooks", "list").stdout
    receiver.secrets.clear()


def test_older_worker_delivers_without_events_and_newer_ones_go_on(stack: Stack, receiver: Receiver) -> None:
    networks = stack.variables.pop("GAUGEPOST_WEBHOOK_NETWORKS")  # an older process refuses a setting of a newer one
    old = Old(OLDER_NAMES[-1], stack)
    stack.variables["GAUGEPOST_WEBHOOK_NETWORKS"] = networks
    [first] = old.enqueue(JOB)
    add(stack, receiver)
    process = old.run("worker", "--region", "eu")
    old.run("beat")
    wait_until(lambda: stack.producer.job(first).state == "delivered", what=stack.undelivered)
    stack.worker()
    kill(process)
    second = stack.producer.enqueue(record(**FINE)).id
    wait_until(lambda: second in delivered(receiver), what=stack.undelivered)
    assert delivered(receiver) == {second}


def test_moved_region_has_its_endpoints_and_the_events_that_wait(
    stack: Stack, receiver: Receiver, tmp_path: Path
) -> None:
    add(stack, receiver, "--region", "eu")
    receiver.stop()
    job = stack.producer.enqueue(record(**FINE)).id
    stack.producer.cancel(job)
    (tmp_path / "other").mkdir()
    other = RedisServer(tmp_path / "other").start()
    try:
        done = stack.cli("move", "eu", "--to-file", url_file(stack, other))
        assert done.returncode == 0, done.stderr
        stack.variables["GAUGEPOST_REDIS_URL"] = other.url
        with receiver:
            stack.worker()
            wait_until(lambda: len(receiver.effects) == 1)
            with Producer(Settings.given(redis_url=other.url)) as producer:
                [endpoint] = producer.ledger(Region.EU).webhooks.read()
        assert [event["data"]["id"] for event in receiver.events()] == [job]
        assert endpoint.regions == ("eu",)
    finally:
        stack.end()
        other.stop()


@pytest.mark.needs("redis-server", "redis-cli")
def test_restored_backup_sends_events_again_under_their_ids(stack: Stack, receiver: Receiver, tmp_path: Path) -> None:
    add(stack, receiver, "--region", "eu")
    job = stack.producer.enqueue(record(**FINE)).id
    stack.producer.cancel(job)
    backup = str(tmp_path / "ledger.rdb")
    run(steps("backup"), OLD=str(stack.redis.port), BACKUP=backup)
    worker = stack.worker()
    wait_until(lambda: len(receiver.effects) == 1)
    kill(worker)
    (tmp_path / "other").mkdir()
    other = RedisServer(tmp_path / "other")
    run(steps("restore"), NEW=str(other.port), DATA=str(other.folder), BACKUP=backup)
    other.start()
    try:
        stack.variables["GAUGEPOST_REDIS_URL"] = other.url
        stack.worker()
        wait_until(lambda: sum(receiver.received.values()) == 2)
        assert [event["data"]["id"] for event in receiver.events()] == [job]
    finally:
        stack.end()
        other.stop()


def test_result_goes_only_to_the_endpoint_that_asked_for_it(stack: Stack, receiver: Receiver) -> None:
    add(stack, receiver, "--with-result", "--event", "job.delivered")
    with Receiver() as other:
        add(stack, other)
        job = stack.producer.enqueue(PersonalLink(region=Region.EU, **FINE, record={"Email": EMAIL})).id
        stack.worker()
        wait_until(lambda: job in delivered(receiver) & delivered(other), what=stack.undelivered)
        (asked,), (not_asked,) = receiver.events(), other.events()
    assert asked["data"]["result"] == stack.producer.job(job).result
    assert "result" not in not_asked["data"]


def test_receiver_of_the_page_takes_events_and_refuses_forged_ones(stack: Stack, tmp_path: Path) -> None:
    page = (ROOT / "docs/webhooks.md").read_text(encoding="utf-8")
    [code] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "receiver.py").write_text(code)
    port = free_port()
    url = f"http://127.0.0.1:{port}/hooks"
    secret = json.loads(stack.cli("webhooks", "add", url, "--json").stdout)["secret"]
    log = tmp_path / "receiver.log"
    env = os.environ | {"WEBHOOK_SECRET": secret, "PORT": str(port)}
    with (
        log.open("wb") as out,
        subprocess.Popen([sys.executable, str(tmp_path / "receiver.py")], env=env, stdout=out, stderr=out) as process,
    ):
        try:
            job = stack.producer.enqueue(record(**FINE)).id
            stack.worker()
            wait_until(lambda: f"job.delivered {{'id': '{job}'" in log.read_text(), what=log.read_text)
            forged = {"webhook-id": "evt_1", "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"}
            assert requests.post(url, data=b'{"type": "job.dead"}', headers=forged, timeout=5).status_code == 400
        finally:
            process.kill()
    assert log.read_text().count("job.delivered") == 1
