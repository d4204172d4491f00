"""Run workers and producers of older versions beside today's on one ledger, and a process on a newer ledger."""

from __future__ import annotations

import contextlib
import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gaugepost import Region
from gaugepost.errors import IdempotencyConflict, LedgerClosed, StoreError
from gaugepost.keys import FAMILIES, FIXED, Keys
from gaugepost_ops.relocation import Relocation
from support.factories import record
from support.metrics import value
from support.old_versions import OLDER_NAMES, ONE_LIST, PREVIOUS, UNHASHED, UNTRACED, VERSIONS, Old
from support.redis_server import free_port
from support.stack import Stack, kill
from support.wait import wait_until
from support.worker_ledger import worker_ledger

SHORT = {"connect_timeout": 1, "read_timeout": 3, "lease": 6, "backoff__lost_answer": "1s,1s,1s,1s"}

COMMON = {"configuration": "multi-object", "record": {"Email": "joe.doe@example.com"}, "region": "eu"}
KINDS: list[dict[str, Any]] = [
    {"kind": "record"} | COMMON,
    {"kind": "record", "source": "crm"} | COMMON,
    {"kind": "personal_link"} | COMMON,
    {"kind": "close_loop", "region": "eu", "number_customergauge": "7", "status": "open"},
    {"kind": "close_loop", "region": "eu", "number_customergauge": "7", "status": "closed"},
    {"kind": "response", "region": "eu", "fields": {"Email": "lee@example.net"}, "net_promoter_score": 9},
    {"kind": "file", "region": "eu", "family": "contact", "filename": "a.csv"} | {"content_base64": "RW1haWwKYUBiLmMK"},
]  # fmt: skip
TRACED = {"kind": "record", "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"} | COMMON


def kinds(version: str) -> list[dict[str, Any]]:
    """Return a job of every kind, as that version knows them."""
    return KINDS if version in UNTRACED else [*KINDS, TRACED]


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with Stack(tmp_path, **SHORT) as stack:
        yield stack


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def delivered(stack: Stack, ids: list[str]) -> None:
    """Wait until all are delivered; each took effect once."""
    wait_until(lambda: stack.counts()["delivered"] == len(ids), what=str(stack.counts()))
    assert stack.keys() == dict.fromkeys(ids, 1)


def records(n: int) -> list[dict[str, Any]]:
    return [{"kind": "record"} | COMMON for _ in range(n)]


def test_packed_older_versions_exist() -> None:
    assert set(VERSIONS) - {PREVIOUS} > UNTRACED >= ONE_LIST, "some that are there in a shallow clone too"


def test_jobs_of_an_older_version_are_delivered_by_this_one(stack: Stack, version: str) -> None:
    ids = Old(version, stack).enqueue(*kinds(version))
    stack.worker()
    stack.beat()
    delivered(stack, ids)


def test_jobs_from_older_services_after_the_upgrade_are_delivered(stack: Stack, version: str) -> None:
    old = Old(version, stack)
    ids = old.enqueue(KINDS[0])
    stack.worker()
    stack.beat()
    delivered(stack, ids)
    delivered(stack, ids + old.enqueue(*kinds(version)))


def test_older_worker_delivers_new_jobs_or_leaves_them_to_newer_ones(stack: Stack, version: str) -> None:
    old = Old(version, stack)
    before = old.enqueue(KINDS[0])
    old.run("worker", "--region", "eu")
    old.run("beat")
    delivered(stack, before)
    done = stack.cli("enqueue", "-", stdin="\n".join(map(json.dumps, kinds(version))))
    ids = before + [json.loads(line)["id"] for line in done.stdout.splitlines()]
    if version in ONE_LIST:
        wait_until(lambda: len(stack.keys()) > 1, what="the file, which is in no list of a source")
        stack.worker()
    delivered(stack, ids)


def test_idempotency_keys_of_both_versions_give_the_first_job(stack: Stack, version: str) -> None:
    old, key = Old(version, stack), {"kind": "record", "idempotency_key": "old"} | COMMON
    [first] = old.enqueue(key)
    assert stack.producer.enqueue(record(**COMMON), idempotency_key="old").id == first
    other = record(**COMMON | {"record": {"Email": "other@example.com"}})
    if version in UNHASHED:
        assert stack.producer.enqueue(other, idempotency_key="old").id == first
    else:
        with pytest.raises(IdempotencyConflict):
            stack.producer.enqueue(other, idempotency_key="old")
    ours = stack.producer.enqueue(record(**COMMON), idempotency_key="new")
    assert old.enqueue(key | {"idempotency_key": "new"}) == [ours.id]


@pytest.mark.parametrize("version", OLDER_NAMES)
def test_workers_run_the_ticks_beside_a_beat_that_ticks_into_older_queues(stack: Stack, version: str) -> None:
    port = free_port()
    Old(version, stack).run("beat")
    Old(version, stack).enqueue(KINDS[0])
    stack.variables["GAUGEPOST_METRICS_PORT"] = str(port)
    stack.worker()
    wait_until(lambda: (value(port, "gaugepost_own_ticks_total", tick="promote") or 0) > 2)


@pytest.mark.parametrize("version", sorted(UNTRACED - ONE_LIST))
def test_traced_job_set_aside_by_older_worker_is_delivered_after_replay(stack: Stack, version: str) -> None:
    old = Old(version, stack)
    worker = old.run("worker", "--region", "eu")
    delivered(stack, first := old.enqueue(KINDS[0]))
    old.run("beat")
    done = stack.cli("enqueue", "-", stdin="\n".join(map(json.dumps, [TRACED, KINDS[0]])))
    traced, plain = (json.loads(line)["id"] for line in done.stdout.splitlines())
    wait_until(lambda: [stack.producer.job(one).state for one in (traced, plain)] == ["dead", "delivered"])
    assert [attempt.verdict for attempt in stack.producer.job(traced).history.attempts()] == []
    assert stack.keys() == dict.fromkeys([*first, plain], 1), "it was not sent"
    kill(worker)
    stack.worker()
    assert stack.cli("replay", "--state", "dead", "--region", "eu", "--verdict", "unreadable").returncode == 0
    delivered(stack, [*first, plain, traced])


def test_workers_are_rolled_while_they_hold_jobs(stack: Stack, version: str) -> None:
    stack.sim.knobs(latency_ms={"all": 300})
    old = Old(version, stack)
    ended, killed = (old.run("worker", "--region", "eu", "--concurrency", "4") for _ in range(2))
    old.run("beat")
    with stack.redis.client() as client:
        wait_until(lambda: [one["cmd"] for one in client.client_list()].count("brpop") == 2, what="both listen")
    ids = old.enqueue(*records(300))
    wait_until(lambda: len(stack.keys()) > 20)
    stack.worker()
    ended.send_signal(signal.SIGTERM)
    kill(killed)
    assert stack.counts()["delivered"] < len(ids), "nothing was in flight any more: nothing was proved"
    assert ended.wait(timeout=60) == 0
    ids += old.enqueue(*records(50))
    wait_until(lambda: stack.counts()["delivered"] == len(ids), within=90)
    assert set(stack.keys()) == set(ids)
    for job_id in (job_id for job_id, times in stack.keys().items() if times > 1):
        verdicts = [attempt.verdict for attempt in stack.producer.job(job_id).history.attempts()]
        assert "lost_answer" in verdicts, "sent twice, and its record does not say why"


def test_upgrade_keeps_parked_held_dead_and_ended_jobs(stack: Stack, version: str) -> None:
    old = Old(version, stack)
    worker = old.run("worker", "--region", "eu")
    beat = old.run("beat")
    email = {"no_campaign": "no-campaign@example.com", "fine": "fine@example.com"}
    jobs = [COMMON | {"kind": "personal_link", "record": {"Email": one}} for one in email.values()]
    jobs.append(COMMON | {"kind": "record", "configuration": "unknown-mapping"})
    ids = old.enqueue(*jobs)
    states = ["parked", "delivered", "parked"]
    wait_until(lambda: [stack.producer.job(one).state for one in ids] == states, what="each where it belongs")
    kill(worker)
    kill(beat)
    reasons = [stack.producer.job(one).reason for one in ids]
    stack.worker()
    stack.beat()
    later = stack.producer.enqueue(record(configuration="multi-object"))
    later.result(timeout=60)
    assert [stack.producer.job(one).state for one in ids] == states
    assert [stack.producer.job(one).reason for one in ids] == reasons
    assert list(stack.producer.ledger(Region.EU).holds()) == ["configuration:unknown-mapping"]
    assert stack.cli("resume", "eu", "--configuration", "unknown-mapping").returncode == 0


def test_no_key_of_a_version_that_may_run_has_another_type_now(stack: Stack, version: str) -> None:
    code = "import json, gaugepost.keys as k; print(json.dumps([k.FIXED, k.FAMILIES]))"
    fixed, families = Old(version, stack).python(code)
    gone = ({"ready", "urgent"} if version in ONE_LIST else set()) | ({"streaks"} & set(fixed))
    assert set(fixed) - set(FIXED) == gone, "no version reads this key any more: migrate.lua must empty it"
    assert set(families) <= set(FAMILIES)
    changed = [name for name, (kind, _) in (fixed | families).items() if name not in gone
               and (FIXED | FAMILIES)[name][0].split()[0] != kind.split()[0]]  # fmt: skip
    assert changed == []


def test_region_that_begins_under_a_namespace_is_closed_to_versions_without(stack: Stack) -> None:
    """Older versions would enqueue under keys that no worker of this version reads."""
    stack.worker()
    with stack.redis.client() as client:
        wait_until(lambda: client.get("gaugepost:{eu}:schema") == b"1")
    for version in set(OLDER_NAMES) - UNTRACED:
        with pytest.raises(AssertionError, match="this region has moved"):
            Old(version, stack).enqueue(KINDS[0])


@pytest.mark.parametrize("version", OLDER_NAMES)
def test_older_ledger_gets_the_names_of_the_namespace_under_load(stack: Stack, version: str) -> None:
    old = Old(version, stack)
    worker, beat = old.run("worker", "--region", "eu"), old.run("beat")
    ids = old.enqueue(*records(20), {"kind": "record", "idempotency_key": "k"} | COMMON)
    parked = old.enqueue({"kind": "record"} | COMMON | {"configuration": "unknown-mapping"})
    delivered(stack, ids)
    wait_until(lambda: stack.producer.job(parked[0]).state == "parked")
    for process in (worker, beat):
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    if version in ONE_LIST:
        worker_ledger(stack.producer).migrate()  # a worker of this version does so as it starts
    ids += old.enqueue(*records(2_000))
    with stack.redis.client() as client, enqueuing(stack) as more:
        client.lpush("eu", "a task of another application")
        wait_until(lambda: len(more) > 20)
        done = stack.cli("move", "eu")
        assert (done.returncode, done.stderr) == (0, "")
        so_far = len(more)
        wait_until(lambda: len(more) > so_far + 20, what="services continue")
        assert {name.split(b":")[0] for name in client.keys("*{eu}*") if name != b"gp:{eu}:schema"} == {b"gaugepost"}
        assert client.lrange("eu", 0, -1) == [b"a task of another application"], "none of our bells, and all of others"
        assert client.llen("eu.ticks") == client.llen("eu.urgent") == 0
    assert stack.producer.enqueue(record(**COMMON), idempotency_key="k").id == ids[20]
    assert stack.producer.job(parked[0]).reason == "unknown_mapping"
    again = stack.cli("move", "eu")
    assert again.returncode == 1
    assert again.stderr.startswith("nothing to move")
    stack.worker()
    delivered(stack, ids + more)


def test_renaming_that_was_cut_is_taken_up_by_the_same_call(stack: Stack) -> None:
    old = Old(OLDER_NAMES[-1], stack)
    ids = old.enqueue(*records(300))
    with stack.redis.client() as client:
        keys = Keys(Region.EU)
        cut = Relocation(client, client, keys)
        cut.check()
        cut.close()
        next(cut.copy(cut.names()))
        with pytest.raises(LedgerClosed, match="is renaming the keys of this region: try again"):
            stack.producer.enqueue(record())
        assert stack.cli("move", "eu").returncode == 0
        assert client.keys("gp:*") == [b"gp:{eu}:schema"]
    stack.worker()
    delivered(stack, ids)


@contextlib.contextmanager
def enqueuing(stack: Stack) -> Iterator[list[str]]:
    """Enqueue continuously, as a service that repeats a call after an error; yield the accepted ids."""
    ids: list[str] = []
    over = threading.Event()

    def enqueue() -> None:
        while not over.wait(0.005):
            with contextlib.suppress(StoreError):
                ids.append(stack.producer.enqueue(record(**COMMON)).id)

    service = threading.Thread(target=enqueue)
    service.start()
    try:
        yield ids
    finally:
        over.set()
        service.join()


def test_each_process_refuses_a_ledger_newer_than_itself(stack: Stack) -> None:
    with stack.redis.client() as client:
        client.set("gaugepost:{eu}:schema", 2)
        before = sorted(client.keys())
        with pytest.raises(LedgerClosed, match="the ledger has schema 2, this gaugepost knows 1: upgrade it"):
            stack.producer.enqueue(record())
        done = stack.cli("enqueue", "-", stdin=json.dumps(KINDS[0]))
        assert (done.returncode, done.stderr.count("upgrade it")) == (1, 1)
        worker = stack.worker()
        assert worker.wait(timeout=60) == 1
        assert "knows 1: upgrade it" in stack.logs()
        assert "Traceback" not in stack.logs()
        assert sorted(client.keys()) == before


def test_a_worker_puts_the_schema_on_the_ledger_that_it_works(stack: Stack) -> None:
    stack.worker()
    with stack.redis.client() as client:
        wait_until(lambda: client.get("gaugepost:{eu}:schema") == b"1")
