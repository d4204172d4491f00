"""Share a Redis with another Celery application, or with a second deployment in its own namespace."""

from __future__ import annotations

import json
from pathlib import Path

from celery import Celery

from gaugepost import Producer, Region
from gaugepost.settings import Settings
from gaugepost_workers.celery_app.app import make_app
from support.factories import record
from support.stack import Stack
from support.wait import wait_until

TASKS = 20


def test_tasks_of_another_application_stay_in_its_queues(tmp_path: Path) -> None:
    with Stack(tmp_path) as stack, stack.redis.client() as client:
        other = Celery("other", broker=stack.redis.url, set_as_current=False)
        for _ in range(TASKS):
            for queue in ("eu", "eu.urgent", "eu.ticks", "celery"):
                other.send_task("reports.make", queue=queue)
        stack.worker()
        stack.beat()
        stack.producer.enqueue(record(configuration="multi-object")).result(timeout=60)
        left = {queue: client.lrange(queue, 0, -1) for queue in ("eu", "eu.urgent", "eu.ticks", "celery")}
        assert {queue: len(tasks) for queue, tasks in left.items()} == dict.fromkeys(left, TASKS)
        assert {json.loads(task)["headers"]["task"] for tasks in left.values() for task in tasks} == {"reports.make"}


def test_control_and_events_reach_workers_of_their_namespace_only(tmp_path: Path) -> None:
    with Stack(tmp_path) as stack, stack.redis.client() as client, client.pubsub() as heard:
        heard.psubscribe("/0.celery*")
        stack.worker()
        ours, second = (make_app(Region.EU, stack.redis.url, namespace=name) for name in ("gaugepost", "second"))
        other = Celery("other", broker=stack.redis.url, set_as_current=False)
        [name] = wait_until(lambda: ours.control.inspect(timeout=1).ping(), what="the worker answers")
        assert name.startswith("eu-")
        assert (second.control.inspect(timeout=1).ping(), other.control.inspect(timeout=1).ping()) == (None, None)
        stack.producer.enqueue(record(configuration="multi-object")).result(timeout=60)
        heard_on = {m["channel"].decode() for m in iter(heard.get_message, None) if m["type"] == "pmessage"}
        assert heard_on == {"/0.celery.pidbox"}, "what the other application asked"


def test_two_deployments_in_one_redis_deliver_their_own_jobs(tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    with (
        Stack(tmp_path) as first,
        Stack(tmp_path / "second", redis_url=first.redis.url, namespace="second-account") as second,
    ):
        ids = [stack.producer.enqueue(record(configuration="multi-object")).id for stack in (first, second)]
        second.worker()
        wait_until(lambda: second.counts()["delivered"] == 1)
        assert (second.keys(), first.keys()) == ({ids[1]: 1}, {})
        assert first.counts()["queued"] == 1
        first.worker()
        wait_until(lambda: first.counts()["delivered"] == 1)
        assert (second.keys(), first.keys()) == ({ids[1]: 1}, {ids[0]: 1})
        with Producer(Settings.given(redis_url=first.redis.url)) as producer:
            assert [view.state for view in producer.ledger(Region.EU).read([ids[0]]) if view] == ["delivered"]
            assert producer.ledger(Region.EU).read([ids[1]]) == [None]
