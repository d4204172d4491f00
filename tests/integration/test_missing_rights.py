"""Take a right from a Redis user: the error names the command and the key."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gaugepost import AsyncProducer, Record, Region
from gaugepost.errors import NotPermitted
from support.acl import PROGRAMS, GuardedRedis
from support.stack import Stack
from support.wait import wait_until

USER = "limited"


@pytest.fixture(params=PROGRAMS, ids=lambda path: Path(path).name)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> GuardedRedis:
    """Start a server with a user `limited`, from which a test takes rights away."""
    server = GuardedRedis(tmp_path, program=request.param)
    server.start()
    server.set_user(USER, "on", f">{USER}", "~*", "&*", "+@all", "-acl")
    return server


@pytest.fixture
def stack(server: GuardedRedis, tmp_path: Path) -> Iterator[Stack]:
    """Start a stack whose processes log in as that user."""
    url = f"redis://{USER}:{USER}@127.0.0.1:{server.port}/0"
    with Stack(tmp_path, redis=server, redis_url=url, regions="eu") as stack:
        yield stack


def job() -> Record:
    return Record(region=Region.EU, configuration="multi-object", record={"Email": "very-personal@example.net"})


PARTS = {
    "worker": ("worker", "--region", "eu"),
    "processes": ("worker", "--region", "eu", "--processes", "2"),
    "beat": ("beat",),
    "exporter": ("exporter",),
    "flower": ("flower",),
    "gateway": ("serve",),
    "up": ("up",),
}
LACKING = [
    ("worker", "-brpop", "run BRPOP on gaugepost.eu, gaugepost.eu.urgent, gaugepost.eu.ticks"),
    ("worker", "-publish", "run PUBLISH"),
    ("worker", "-zpopmin", "run ZPOPMIN"),
    ("processes", "-evalsha", "run EVALSHA on gaugepost:{eu}:"),
    ("up", "-sadd", "run SADD"),
    ("beat", "-lpush", "run LPUSH"),
    ("exporter", "-info", "run INFO"),
    ("gateway", "-hset", "run HSET"),
    ("flower", "-psubscribe", "run PSUBSCRIBE on /0.gaugepost.pidbox"),
]


@pytest.mark.parametrize(("part", "rule", "named"), LACKING)
def test_process_ends_at_start_and_names_the_missing_right(
    stack: Stack, server: GuardedRedis, part: str, rule: str, named: str
) -> None:
    server.set_user(USER, rule)
    process = stack.run("-m", "gaugepost_ops", *PARTS[part])
    assert process.wait(60) == 4
    message = f"Redis does not permit its user {USER} to {named}"
    assert message in stack.logs()


def test_part_names_keys_and_channels_it_may_not_use(stack: Stack, server: GuardedRedis) -> None:
    server.set_user(
        USER,
        "resetkeys",
        "~gaugepost:{eu}:",
        "~gaugepost:{eu}:[a-s]*",
        "~gaugepost:{eu}:[u-z]*",
        "~gp:{eu}:*",
        "~gaugepost.eu*",
        "~*gaugepost.pidbox",
        "~_kombu*",
    )
    server.set_user(USER, "resetchannels", "&/0.gaugepost.pidbox")
    assert stack.worker().wait(60) == 4
    keys = [f"gaugepost:{{eu}}:{name}" for name in ("todo:*", "token", "token_lock", "turns:")]
    assert f"use {', '.join(keys)}" in stack.logs()
    assert "run PSUBSCRIBE on /0.gaugepost.events/*" in stack.logs()


@pytest.mark.parametrize("rule", ["-zadd", "-info", "-evalsha"])
def test_check_has_a_row_for_missing_rights(stack: Stack, server: GuardedRedis, rule: str) -> None:
    server.set_user(USER, rule)
    done = stack.cli("check", "--json")
    rows = {row["what"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert (done.returncode, rows["rights"]["ok"]) == (1, False)
    assert f"its user {USER} to run {rule[1:].upper()}" in rows["rights"]["detail"]
    assert rows["token"]["ok"]


def test_check_tests_the_rights_of_a_process(stack: Stack, server: GuardedRedis) -> None:
    server.set_user(USER, "-brpop")
    assert stack.cli("check").returncode == 0
    done = stack.cli("check", "--part", "worker")
    assert done.returncode == 1
    assert "run BRPOP" in done.stdout


@pytest.mark.parametrize(
    ("rules", "named"),
    [
        (["-evalsha"], "run EVALSHA"),
        (["-hset"], "run HSET"),
        (["resetkeys", "~other:*"], "run EVALSHA on gaugepost:{eu}:, gaugepost.eu, gaugepost.eu.urgent"),
        (["resetkeys", "~gaugepost:{eu}:", "~gaugepost.eu*", "~gaugepost:{eu}:[a-r]*"], "on gaugepost:{eu}:schema"),
    ],
)
def test_service_gets_an_error_that_names_command_and_key(
    stack: Stack, server: GuardedRedis, rules: list[str], named: str
) -> None:
    server.set_user(USER, *rules)
    with pytest.raises(NotPermitted) as refused:
        stack.producer.enqueue(job())
    assert str(refused.value).startswith(f"Redis does not permit its user {USER} to run ")
    assert named in str(refused.value)
    assert "very-personal" not in str(refused.value)

    async def enqueue() -> None:
        async with AsyncProducer(stack.settings) as producer:
            await producer.enqueue(job())

    with pytest.raises(NotPermitted) as refused_too:
        asyncio.run(enqueue())
    assert str(refused_too.value) == str(refused.value)


def test_command_ends_and_names_the_key(stack: Stack, server: GuardedRedis) -> None:
    server.set_user(USER, "resetkeys", "~gaugepost:{eu}:[a-g]*", "~*:schema", "~*:stamp")
    done = stack.cli("holds")
    assert done.returncode == 4
    assert "run HGETALL on gaugepost:{eu}:holds" in done.stderr


def test_running_worker_resumes_once_the_right_is_back(stack: Stack, server: GuardedRedis) -> None:
    worker = stack.worker()
    stack.producer.enqueue(job()).result(timeout=60)
    server.set_user(USER, "-brpop")
    wait_until(lambda: f"does not permit its user {USER} to run BRPOP on" in stack.logs(), what="its log says so")
    server.set_user(USER, "+brpop")
    stack.producer.enqueue(job()).result(timeout=60)
    assert worker.poll() is None


WITHOUT = [
    ("-get",),
    ("-time",),
    ("-rpush",),
    ("-set",),
    ("-hincrby",),
    (
        "resetkeys",
        "~gaugepost:{eu}:[a-s]*",
        "~gaugepost:{eu}:urgent*",
        "~gaugepost:{eu}:w*",
        "~gaugepost:{eu}:",
        "~g*.eu*",
    ),
    ("resetkeys", "~gaugepost:{eu}:[a-q]*", "~gaugepost:{eu}:[s-z]*", "~gaugepost:{eu}:", "~g*.eu*"),
]


@pytest.mark.parametrize("rules", WITHOUT, ids=lambda rules: rules[0] if len(rules) == 1 else rules[1])
def test_refused_enqueue_stores_nothing_and_works_again_with_the_right(
    stack: Stack, server: GuardedRedis, rules: tuple[str, ...]
) -> None:
    server.set_user(USER, *rules)
    with pytest.raises(NotPermitted):
        stack.producer.enqueue(job(), idempotency_key="first")
    with server.client() as client:
        assert client.keys("gaugepost*") == []
    server.set_user(USER, "~*", "+@all", "-acl")
    stack.worker()
    again = stack.producer.enqueue(job(), idempotency_key="first")
    assert not again.duplicate
    again.result(timeout=60)


def test_claim_that_lacks_a_right_changes_nothing(stack: Stack, server: GuardedRedis) -> None:
    stack.worker()
    stack.producer.enqueue(job()).result(timeout=60)
    server.set_user(USER, "-zpopmin")
    receipts = [stack.producer.enqueue(job()) for _ in range(5)]
    wait_until(lambda: f"does not permit its user {USER} to run ZPOPMIN" in stack.logs(), what="its log says so")
    assert {receipt.state() for receipt in receipts} == {"queued"}
    server.set_user(USER, "+zpopmin")
    for receipt in receipts:
        receipt.result(timeout=60)
    counts = stack.counts()
    assert (counts["queued"], counts["sending"], counts["delivered"]) == (0, 0, 6)
    assert all(len(receipt.timeline()) == len(receipts[0].timeline()) for receipt in receipts), "no lost answer"


def test_beat_that_may_not_push_ticks_is_not_well(stack: Stack, server: GuardedRedis) -> None:
    stack.beat()
    wait_until(lambda: stack.cli("health", "beat", "--max-age", "5s").returncode == 0, what="beat ticks")
    server.set_user(USER, "-lpush")
    wait_until(lambda: stack.cli("health", "beat", "--max-age", "3s").returncode == 1, what="its health says so")
    with server.client() as client:
        silent_since = client.hget("gaugepost:{eu}:pace", "beat_sent")
        wait_until(lambda: stack.logs().count("run LPUSH") > 5, what="it tries again and again")
        assert client.hget("gaugepost:{eu}:pace", "beat_sent") == silent_since, "workers run the ticks meanwhile"
