"""Deliver jobs of every kind with GAUGEPOST_DATA_KEY, and search the files of Redis for personal data."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from gaugepost import (
    CloseLoop,
    File,
    FileDelete,
    JobDead,
    JobState,
    PersonalLink,
    Producer,
    Receipt,
    Record,
    Region,
    Response,
    Settings,
)
from gaugepost_tasks.policy import SEALED
from support.redis_server import RedisServer
from support.stack import Stack, kill
from support.wait import wait_until

NAME, MAIL, NOTE = "Desdemona Quill", "desdemona@example.net", "call her on Friday"
CSV = f"Email,Name,Date\n{MAIL},{NAME},2026-01-01 00:00:00\n"
PERSONAL = (NAME, MAIL, NOTE, "customergauge.com/r/", "cust.xx/", "quill-contacts", "her-ticket")


def key() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


def eu(**more: object) -> Record:
    cells = {"Email": MAIL, "Name": NAME}
    return Record.model_validate({"region": "eu", "configuration": "multi-object", "record": cells} | more)


def on_disk(stack: Stack) -> bytes:
    """Return all files of the server: the append-only file with past commands, and a snapshot of the present."""
    with stack.redis.client() as client:
        client.save()
    found = [path.read_bytes() for path in stack.folder.rglob("*") if path.suffix in {".aof", ".rdb"}]
    assert len(found) >= 2, "an append-only file and a snapshot"
    return b"\n".join(found)


def whole_life(stack: Stack) -> None:
    """Deliver a job of every kind, end one as dead, leave one waiting, cancel one."""
    producer = stack.producer
    waits = producer.enqueue(eu(expires_at="2099-01-01T00:00:00Z", source="crm"))
    assert waits.cancel()
    stack.worker()
    stack.beat()
    cells = {"Email": MAIL, "Name": NAME}
    jobs: list[Receipt] = [
        producer.enqueue(eu(), idempotency_key="her-ticket"),
        producer.enqueue(CloseLoop(region=Region.EU, number_customergauge="53499", status="open", note=NOTE)),
        producer.enqueue(Response(region=Region.EU, fields=cells, net_promoter_score=9, comment=NOTE)),
    ]
    content = base64.b64encode(CSV.encode()).decode()
    jobs.append(producer.enqueue(File(region=Region.EU, family="contact", filename="quill-contacts.csv", content_base64=content)))  # fmt: skip # noqa: E501
    link = producer.enqueue(PersonalLink(region=Region.EU, configuration="multi-object", record=cells)).result(30)
    assert "customergauge.com/r/" in link.survey_link
    for job in jobs:
        job.result(timeout=60)
    upload = stack.sim.effects(region="eu", kind="file")[0]["body"]["upload_id"]
    producer.enqueue(FileDelete(region=Region.EU, upload_id=upload)).result(30)
    dead = PersonalLink(region=Region.EU, configuration="multi-object", record={**cells, "Email": "duplicate@example.com"})  # fmt: skip # noqa: E501
    with pytest.raises(JobDead, match="duplicate"):
        producer.enqueue(dead).result(30)


@pytest.mark.parametrize("sealed", [True, False], ids=["with a key", "without one"])
def test_redis_disk_never_holds_personal_data_of_any_kind(tmp_path: Path, sealed: bool) -> None:
    settings = {"data_key": key()} if sealed else {}
    server = RedisServer(tmp_path, "--rdbcompression", "no")
    with Stack(tmp_path, redis=server, **settings) as stack:
        whole_life(stack)
        found = {word for word in PERSONAL if word.encode() in on_disk(stack)}
        assert found == (set() if sealed else set(PERSONAL)), (
            "without a key all of it is there, else this proves nothing"
        )
        assert not [word for word in (*PERSONAL, *settings.values()) if word in stack.logs()]
        effects = stack.sim.effects(region="eu")
        assert len({effect["kind"] for effect in effects}) == 6


def test_jobs_survive_a_key_rotation_that_misses_one_worker(tmp_path: Path) -> None:
    old, new = key(), key()
    with Stack(tmp_path, data_key=f"{new},{old}") as stack:
        with Producer(Settings.load(redis_url=stack.redis.url, data_key=old)) as before:
            first = [before.enqueue(eu()).id for _ in range(5)]
        second = [stack.producer.enqueue(eu()).id for _ in range(5)]
        stack.variables["GAUGEPOST_DATA_KEY"] = old
        forgotten = stack.worker()
        stack.beat()
        wait_until(lambda: stack.counts()["delivered"] == 5)
        wait_until(lambda: stack.counts()["parked_by_reason"] == {SEALED: 5})
        assert {stack.producer.state(job_id) for job_id in first} == {JobState.DELIVERED}
        assert "is encrypted with a key that GAUGEPOST_DATA_KEY does not have here" in stack.logs()
        kill(forgotten)
        stack.variables["GAUGEPOST_DATA_KEY"] = f"{new},{old}"
        stack.worker()
        wait_until(lambda: stack.counts()["delivered"] == 10)
        assert stack.keys() == dict.fromkeys([*first, *second], 1)
        assert [stack.producer.job(job_id).history.attempts()[0].n for job_id in second] == [1] * 5
