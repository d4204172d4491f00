"""Move a region to another Redis, and restore a ledger from its backup, by the steps of docs/upgrades.md."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from gaugepost import JobState, Producer, Region, Settings
from gaugepost.errors import LedgerClosed
from gaugepost.keys import Keys
from gaugepost.ledger import Ledger
from gaugepost.ledger.job_filter import JobFilter
from gaugepost.ledger.operations import Action
from gaugepost_ops.relocation import Relocation
from support.factories import case, link, record, upload
from support.moves import run, steps, url_file
from support.redis_server import RedisServer
from support.stack import Stack
from support.terminal import on_terminal, plain
from support.wait import wait_until

FINE: dict[str, Any] = {"configuration": "multi-object"}


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with Stack(tmp_path) as stack:
        yield stack


@pytest.fixture
def other(tmp_path: Path) -> Iterator[RedisServer]:
    folder = tmp_path / "other"
    folder.mkdir()
    server = RedisServer(folder)
    try:
        yield server
    finally:
        server.stop()


READ: dict[bytes, Callable[[redis.Redis, bytes], Any]] = {
    b"hash": lambda client, name: client.hgetall(name),
    b"list": lambda client, name: client.lrange(name, 0, -1),
    b"set": lambda client, name: client.smembers(name),
    b"zset": lambda client, name: client.zrange(name, 0, -1, withscores=True),
    b"string": lambda client, name: client.get(name),
}


OWN = {b"gaugepost:{eu}:schema", b"gaugepost:{eu}:audit"}


def content(client: redis.Redis) -> dict[bytes, Any]:
    """Return each key of the region that a move does not change itself: its value, and whether it expires."""
    names = [name for name in client.keys("gaugepost:{eu}:*") if name not in OWN]
    return {name: (READ[client.type(name)](client, name), client.pttl(name) > 0) for name in names}


def trail(client: redis.Redis) -> list[tuple[str, str, int]]:
    """Return action, outcome and count of each entry of the audit trail, newest first."""
    ledger = Ledger(client, Region.EU, Settings.given(redis_url="redis://127.0.0.1"))
    return [(entry.action, str(entry.outcome), entry.count) for entry in ledger.audit.read()]


def live(stack: Stack) -> list[str]:
    """Fill the ledger with jobs of every state, and end the processes."""
    worker, beat = stack.worker(), stack.beat()
    ended = stack.producer.enqueue(record(**FINE, source="crm"), idempotency_key="k-1")
    ended.result(timeout=60)
    jobs = [stack.producer.enqueue(record(configuration="unknown-mapping"))]
    jobs.append(stack.producer.enqueue(link(record={"Email": "no-campaign@example.com"}, **FINE)))
    wait_until(lambda: all(job.state() == "parked" for job in jobs))
    for process in (worker, beat):
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    jobs += [stack.producer.enqueue(job) for job in (record(**FINE), case(), case(), upload())]
    operations = stack.producer.ledger(Region.EU).operations
    operations.pause(operations.start(Action.REPLAY, JobFilter(state=JobState.PARKED), by="a test").id)
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    jobs.append(stack.producer.enqueue(record(**FINE, deliver_at=tomorrow), idempotency_key="k-2"))
    return [job.id for job in (ended, *jobs)]


def test_moved_region_keeps_all_its_jobs_and_continues(stack: Stack, other: RedisServer) -> None:
    ids = live(stack)
    stack.producer.enqueue_many([record(**FINE) for _ in range(3)], batch="moved", canary=1)
    assert stack.cli("hold", "eu", "--configuration", "x", "--reason", "x").returncode == 0
    other.start()
    with stack.redis.client() as old, other.client() as new:
        before = content(old)
        done = stack.cli("move", "eu", "--to-file", url_file(stack, other))
        assert done.returncode == 0, done.stderr
        assert content(new) == before
        assert trail(new) == [("move", "done", len(before) + 1), ("hold", "done", 1)]
        assert new.get("gaugepost:{eu}:schema") == b"1"
        assert new.get("gp:{eu}:schema") == b"moved 1", "older versions are refused there too"
    with pytest.raises(LedgerClosed, match="this region has moved: set GAUGEPOST_REDIS_URL"):
        stack.producer.enqueue(record())
    assert stack.cli("move", "eu", "--to-file", url_file(stack, other)).returncode == 1, "there is one already"
    stack.variables["GAUGEPOST_REDIS_URL"] = other.url
    stack.worker()
    stack.beat()
    with Producer(Settings.given(redis_url=other.url)) as producer:
        again = producer.enqueue(record(**FINE), idempotency_key="k-1")
        assert (again.id, again.duplicate) == (ids[0], True)
        assert [view.id for view in producer.find(key="k-1")] == ids[:1]
        assert (producer.batch("moved").held, len(producer.find(batch="moved"))) == (2, 3)
        wait_until(lambda: producer.ledger(Region.EU).summary()["delivered"] == 8)
        assert producer.batch("moved").states == {"delivered": 3}
        assert [str(producer.job(one).state) for one in ids[1:3]] == ["parked", "parked"]
        assert producer.job(ids[-1]).reason == "scheduled"
        assert producer.cancel(key="k-2", region=Region.EU)
    assert set(stack.keys().values()) == {1}


@pytest.mark.parametrize("key", ["gp:{eu}:stamp", "gaugepost:{eu}:stamp"])
def test_region_is_not_moved_into_another_ledger(stack: Stack, other: RedisServer, key: str) -> None:
    other.start()
    stack.producer.enqueue(record(**FINE))
    with other.client() as new:
        new.set(key, 1)
        done = stack.cli("move", "eu", "--to-file", url_file(stack, other))
        assert (done.returncode, done.stderr) == (
            1,
            "nothing was moved: the target has a ledger of this region already\n",
        )
        assert new.keys() == [key.encode()]
    stack.producer.enqueue(record(**FINE))


def test_a_region_is_not_moved_from_under_its_workers(stack: Stack, other: RedisServer) -> None:
    other.start()
    stack.sim.fault("slow", endpoint="records", seconds=25)
    worker = stack.worker()
    stack.producer.enqueue(record(**FINE))
    wait_until(lambda: stack.counts()["sending"] == 1)
    done = stack.cli("move", "eu", "--to-file", url_file(stack, other))
    assert done.returncode == 1
    assert "workers still hold leases of 1 jobs" in done.stderr
    stack.producer.enqueue(record())
    worker.kill()


def test_a_move_that_was_cut_is_taken_up_by_the_same_call(stack: Stack, other: RedisServer) -> None:
    other.start()
    jobs = [stack.producer.enqueue(record(**FINE)) for _ in range(300)]
    with stack.redis.client() as old, other.client() as new:
        old.set("gaugepost:{eu}:schema", "moved 1")  # as far as a call came that was cut: closed, and some of it copied
        some = f"gaugepost:{{eu}}:job:{jobs[0].id}"
        new.restore(some, 0, old.dump(some))
        done = stack.cli("move", "eu", "--to-file", url_file(stack, other))
        assert done.returncode == 0, done.stderr
        assert content(new) == content(old)
        assert new.get("gaugepost:{eu}:schema") == b"1"


def test_a_move_shows_how_far_it_is(stack: Stack, other: RedisServer) -> None:
    other.start()
    list(stack.producer.enqueue_many(record(**FINE) for _ in range(2_000)))

    def start(*arguments: str, **streams: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "gaugepost_ops", *arguments], env=os.environ | stack.variables, text=True, **streams
        )

    code, shown = on_terminal(start, "move", "eu", "--to-file", url_file(stack, other))
    assert code == 0, shown
    assert re.search(r"moving .* 100% .*\d:\d\d", plain(shown)), "a share, and how long it will take"
    assert "keys moved" in shown


def test_a_move_to_nowhere_names_the_file_and_leaves_the_region_open(stack: Stack, other: RedisServer) -> None:
    path = Path(url_file(stack, other))
    for content_of_file, code, why in (
        (None, 2, f"{path}: cannot be read: No such file or directory"),
        ("", 2, f"{path}: it has no URL"),
        ("rredis://:secret@127.0.0.1/0", 2, f"{path}: it has no URL"),
        (other.url.replace("//", "//:secret@"), 3, f"{path}: Redis cannot be reached"),
    ):
        path.unlink(missing_ok=True)
        if content_of_file is not None:
            path.write_text(content_of_file)
        done = stack.cli("move", "eu", "--to-file", str(path))
        assert (done.returncode, done.stdout) == (code, "")
        what, then = done.stderr.splitlines()
        assert why in what
        assert "the other Redis" in then
        assert "secret" not in done.stderr
    assert stack.producer.enqueue(record(**FINE)).state() == "queued"


@pytest.mark.needs("redis-server", "redis-cli")
def test_restored_ledger_sends_nothing_delivered_since_the_backup_again(stack: Stack, other: RedisServer) -> None:
    ids = live(stack)
    backup = str(stack.folder / "ledger.rdb")
    run(steps("backup"), OLD=str(stack.redis.port), BACKUP=backup)
    stack.worker()
    stack.beat()
    wait_until(lambda: stack.counts()["delivered"] == 5)
    since = set(stack.keys()) - {ids[0]}
    assert len(since) == 4
    for process in stack.processes:
        process.kill()
    stack.redis.stop()

    run(steps("restore"), NEW=str(other.port), DATA=str(other.folder), BACKUP=backup)
    other.start()
    stack.variables["GAUGEPOST_REDIS_URL"] = other.url
    with Producer(Settings.given(redis_url=other.url)) as producer:
        assert producer.ledger(Region.EU).summary()["delivered"] == 1
        assert producer.job(ids[-1]).reason == "scheduled"
        held = stack.cli("hold", "eu", "--reason", "restored")
        assert held.returncode == 0, held.stderr
        stack.worker()
        stack.beat()
        assert stack.cli("cancel", "--no-events", *since).returncode == 0
        late = producer.enqueue(record(**FINE))
        assert stack.cli("resume", "eu").returncode == 0
        late.result(timeout=60)
        summary = producer.ledger(Region.EU).summary()
    assert (summary["delivered"], summary["cancelled"], summary["queued"]) == (2, 4, 0)
    assert json.dumps(sorted(stack.keys().values())) == json.dumps([1] * 6), "nothing went out twice"


@pytest.mark.needs("redis-server", "redis-cli")
def test_restored_batch_is_stopped_by_its_canary(stack: Stack, other: RedisServer) -> None:
    wrong = [record(configuration="multi-object", record={"First name": "Joe"}) for _ in range(20)]
    stack.producer.enqueue_many(wrong, batch="spring", canary=3)
    backup = str(stack.folder / "ledger.rdb")
    run(steps("backup"), OLD=str(stack.redis.port), BACKUP=backup)
    stack.redis.stop()
    run(steps("restore"), NEW=str(other.port), DATA=str(other.folder), BACKUP=backup)
    other.start()
    stack.variables["GAUGEPOST_REDIS_URL"] = other.url
    stack.worker()
    stack.beat()
    with Producer(Settings.given(redis_url=other.url)) as producer:
        wait_until(lambda: (canary := producer.batch("spring").canary) is not None and canary.state == "held")
        batch = producer.batch("spring")
    assert (batch.total, batch.states, batch.held) == (20, {"dead": 3, "parked": 17}, 17)


def test_large_keys_are_copied_one_by_one(stack: Stack, other: RedisServer) -> None:
    """The outboxes of webhooks may have 30 MB each: a batch of 100 of them would need 3 GB of the command's memory."""
    other.start()
    with stack.redis.client() as old, other.client() as new:
        for n in range(5):
            old.set(f"gaugepost:{{eu}}:content:{n}", b"x" * 6_000_000)
        for n in range(250):
            old.set(f"gaugepost:{{eu}}:idem:{n}", "1")
        relocation = Relocation(old, new, Keys(Region.EU))
        relocation.close()
        names, start = relocation.names(), 0
        for moved in relocation.copy(names):
            assert sum(b":content:" in name for name in names[start : start + moved]) <= 1
            start += moved
        assert start == len(names) == 255
        assert content(new) == content(old)
