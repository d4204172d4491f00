"""Check `gaugepost health` with real workers, beats and Redis: healthy, stuck and absent processes."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gaugepost import PersonalLink, Record, Region
from gaugepost_workers.heartbeat import Heartbeat, read_heartbeats
from gaugepost_workers.observers.dispatcher_watch import DispatcherWatch
from gaugepost_workers.watchdog import Watchdog
from support.stack import Stack, kill
from support.wait import wait_until


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with Stack(tmp_path, connect_timeout=2, read_timeout=8, lease=12, run_dir=tmp_path / "run") as stack:
        yield stack


def health(stack: Stack, *arguments: str) -> int:
    return stack.cli("health", *arguments).returncode


def is_well(stack: Stack, *arguments: str) -> bool:
    return health(stack, *arguments) == 0


def link() -> PersonalLink:
    return PersonalLink(region=Region.EU, configuration="multi-object", record={"Email": "joe@example.com"})


def test_running_worker_is_well_and_a_frozen_one_is_not(stack: Stack) -> None:
    worker = stack.worker()
    wait_until(lambda: is_well(stack, "worker", "--region", "eu", "--max-age", "5s"))
    os.kill(worker.pid, signal.SIGSTOP)
    frozen = wait_until(lambda: (done := stack.cli("health", "worker", "--max-age", "3s")).returncode == 1 and done)
    assert f"process {worker.pid} does not take work any more" in frozen.stdout
    os.kill(worker.pid, signal.SIGCONT)
    wait_until(lambda: is_well(stack, "worker", "--max-age", "3s"))


def test_killed_worker_is_not_well(stack: Stack) -> None:
    worker = stack.worker()
    wait_until(lambda: is_well(stack, "worker"))
    kill(worker)
    done = stack.cli("health", "worker", "--region", "eu")
    assert (done.returncode, done.stdout) == (
        1,
        "worker eu: not well: none runs on this machine; start one: gaugepost worker --region eu\n",
    )
    assert not list((stack.folder / "run").iterdir())


def test_stopped_worker_leaves_no_heartbeat(stack: Stack) -> None:
    worker = stack.worker()
    stack.producer.enqueue(link()).result(timeout=60)  # its heartbeat starts before it handles signals
    worker.terminate()
    assert worker.wait(timeout=60) == 0
    assert not list((stack.folder / "run").iterdir())


def test_status_does_not_count_a_worker_that_has_ended(stack: Stack) -> None:
    first, second = stack.worker(), stack.worker()
    with stack.redis.client() as client:  # both listen: they handle signals
        wait_until(lambda: sum(one["cmd"] == "brpop" for one in client.client_list()) == 2)
    wait_until(lambda: workers_of(stack) == 2)
    for count, worker in ((1, first), (0, second)):
        worker.terminate()
        assert worker.wait(timeout=60) == 0
        assert workers_of(stack) == count
    assert "no worker of eu has been seen since" in stack.cli("status").stdout


def workers_of(stack: Stack) -> int:
    rows = map(json.loads, stack.cli("status", "--json").stdout.splitlines())
    return next(int(row["workers"]) for row in rows if row["region"] == "eu")


def test_worker_of_another_region_does_not_count(stack: Stack) -> None:
    stack.worker("us")
    wait_until(lambda: is_well(stack, "worker", "--region", "us"))
    assert health(stack, "worker", "--region", "eu") == 1
    rows = [json.loads(line) for line in stack.cli("health", "worker", "--json").stdout.splitlines()]
    assert [(row["what"], row["region"], row["well"], row["code"]) for row in rows] == [("worker", "us", True, 0)]


def test_ticking_beat_is_well_and_a_frozen_or_killed_one_is_not(stack: Stack) -> None:
    beat = stack.beat()
    wait_until(lambda: is_well(stack, "beat", "--max-age", "5s"))
    os.kill(beat.pid, signal.SIGSTOP)
    wait_until(lambda: health(stack, "beat", "--max-age", "2s") == 1)
    kill(beat)
    done = stack.cli("health", "beat")
    assert (done.returncode, done.stdout) == (
        1,
        "beat: not well: none runs on this machine; start one: gaugepost beat\n",
    )


def test_without_redis_a_process_is_neither_well_nor_to_be_restarted(stack: Stack) -> None:
    stack.worker()
    stack.beat()
    wait_until(lambda: is_well(stack, "worker") and is_well(stack, "beat"))
    stack.redis.kill()
    for call in (["worker"], ["beat"], ["region"], ["worker", "--max-age", "0s"]):
        assert health(stack, *call) == 3, call
        assert health(stack, *call, "--region", "eu") == 3, call
    assert health(stack, "worker", "--max-age", "0s", "--ignore-redis") == 0
    stack.redis.start()
    wait_until(lambda: is_well(stack, "worker", "--max-age", "4s"))
    wait_until(lambda: is_well(stack, "beat", "--max-age", "4s"))


def test_heartbeat_goes_on_while_all_senders_are_busy(stack: Stack) -> None:
    stack.sim.fault("slow", endpoint="records", seconds=1.5, times=50)
    stack.worker(concurrency=2)
    stack.beat()
    jobs = (
        Record(region=Region.EU, configuration="multi-object", record={"Email": f"p{i}@example.net"}) for i in range(20)
    )
    receipts = list(stack.producer.enqueue_many(jobs))
    wait_until(lambda: stack.counts()["sending"])
    while stack.counts()["delivered"] < len(receipts):
        assert health(stack, "worker", "--max-age", "10s") == 0


def test_region_is_well_until_an_urgent_job_waits_too_long(stack: Stack) -> None:
    assert stack.cli("health", "region", "eu").stdout.startswith(
        "region eu: well: no urgent job waits; no worker of eu "
    )
    stack.producer.enqueue(Record(region=Region.EU, configuration="map", record={"Email": "not@urgent.example"}))
    assert health(stack, "region", "eu", "--max-age", "0s") == 0
    waiting = stack.producer.enqueue(link())
    assert health(stack, "region", "eu", "--max-age", "5m") == 0
    assert health(stack, "region", "--region", "us", "--region", "au", "--max-age", "0s") == 0
    assert health(stack, "region", "us", "--region", "eu", "--max-age", "0s") == 1
    late = stack.cli("health", "region", "--max-age", "0s")
    assert late.returncode == 1
    assert [line.partition(": ")[2][:8] for line in late.stdout.splitlines()] == ["not well", "well: no", "well: no"]
    stack.producer.ledger(Region.EU).hold("", "mapping is being changed", "me")
    assert "held: mapping is being changed" in stack.cli("health", "region", "eu", "--max-age", "0s").stdout
    stack.producer.ledger(Region.EU).resume("")
    stack.worker()
    waiting.result(timeout=60)
    assert health(stack, "region", "eu", "--max-age", "0s") == 0


@pytest.mark.parametrize(
    "call", [(), ("worker", "--max-age", "soon"), ("worker", "--region", "xx"), ("region", "xx"), ("head",)]
)
def test_a_wrong_call_is_exit_code_2(stack: Stack, call: tuple[str, ...]) -> None:
    assert health(stack, *call) == 2


def test_a_probe_imports_neither_celery_nor_tables(stack: Stack) -> None:
    look = (
        "import sys; sys.argv[1:] = ['health', 'worker'];\n"
        "from gaugepost_ops.cli import main\n"
        "try: main()\n"
        "finally: print({m.split('.')[0] for m in sys.modules} & {'celery', 'kombu', 'structlog', 'gaugepost_tasks'})"
    )
    done = stack.run("-c", look)
    assert done.wait(timeout=60) == 1
    assert stack.logs().endswith("set()\n")


def test_heartbeats_of_another_redis_are_not_ours(stack: Stack) -> None:
    other = Heartbeat(stack.settings.model_copy(update={"redis_url": None}), "beat")
    assert read_heartbeats(stack.settings, "beat") == []
    mine = Heartbeat(stack.settings, "beat")
    assert [reading.pid for reading in read_heartbeats(stack.settings, "beat")] == [os.getpid()]
    other.remove()
    mine.remove()


# The watchdog, on which a worker's heartbeat depends


class Silent:
    def claimed(self, jobs: Any) -> None: ...

    def settled(self, settlements: Any) -> None: ...


def test_worker_is_healthy_while_messages_are_read_and_the_loop_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr("gaugepost_workers.watchdog.time.monotonic", lambda: now[0])
    watchdog = Watchdog()
    watch = DispatcherWatch(Silent(), watchdog)
    with watchdog.dispatching():
        for now[0] in range(1000):
            watchdog.note_read()
            watch.claimed([])
            with watchdog.dispatching():  # another bell
                assert watchdog.is_healthy()
        for now[0] in range(1000, 1061):
            watchdog.note_read()
        assert not watchdog.is_healthy()  # the loop is stuck
        watch.settled([])
        assert watchdog.is_healthy()
    now[0] += 1000
    assert not watchdog.is_healthy()  # nothing was read
    watchdog.note_read()
    assert watchdog.is_healthy()  # at rest
