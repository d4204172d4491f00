"""Deliver jobs of every kind by real workers on a real Redis to the simulator."""

from __future__ import annotations

import base64
import itertools
import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from gaugepost import (
    CloseLoop,
    File,
    FileDelete,
    JobDead,
    JobState,
    PersonalLink,
    Record,
    Region,
    Response,
)
from support.stack import Stack, kill
from support.wait import wait_until

SHORT = {"connect_timeout": 2, "read_timeout": 6, "lease": 9}


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with Stack(tmp_path, **SHORT) as stack:
        yield stack


def record(i: int, region: str = "eu") -> Record:
    return Record(region=Region(region), configuration="multi-object", record={"Email": f"person{i}@example.net"})


def csv(text: str = "Email,Date\na@example.net,2026-01-01 00:00:00\n") -> str:
    return base64.b64encode(text.encode()).decode()


def test_a_job_of_every_kind_is_delivered_in_its_own_region(stack: Stack) -> None:
    for region in Region:
        stack.worker(region)
    stack.beat()
    producer = stack.producer
    link = producer.enqueue(
        PersonalLink(region=Region.US, configuration="multi-object", record={"Email": "j@example.net"})
    )
    jobs = [
        producer.enqueue(record(1)),
        producer.enqueue(CloseLoop(region=Region.EU, number_customergauge="53499", status="open", note="n")),
        producer.enqueue(Response(region=Region.AU, fields={"Email": "lee@example.net"}, net_promoter_score=9)),
        producer.enqueue(File(region=Region.AU, family="contact", filename="march.csv", content_base64=csv())),
    ]
    for job in jobs:
        job.result(timeout=60)
    assert link.result(timeout=60).survey_link.startswith("https://survey.us.")
    upload = stack.sim.effects(region="au", kind="file")[0]["body"]["upload_id"]
    producer.enqueue(FileDelete(region=Region.AU, upload_id=upload)).result(timeout=60)
    assert stack.sim.state()["by"] == {
        "eu.record": 1, "eu.close_loop": 1, "us.personal_link": 1, "au.response": 1, "au.file": 1, "au.file_delete": 1,
    }  # fmt: skip


def test_1000_records_enqueued_by_the_command_line_are_delivered_once(stack: Stack) -> None:
    stack.worker()
    stack.beat()
    lines = "\n".join(
        json.dumps({"kind": "record"} | record(i).model_dump(mode="json", exclude={"kind"}, exclude_defaults=True))
        for i in range(1000)
    )
    done = stack.cli("enqueue", "-", stdin=lines)
    assert done.returncode == 0, done.stderr
    ids = [json.loads(line)["id"] for line in done.stdout.splitlines()]
    wait_until(lambda: stack.counts()["delivered"] == 1000)
    assert stack.keys() == dict.fromkeys(ids, 1)


def test_killed_worker_loses_no_job_and_each_duplicate_shows_its_cause(stack: Stack) -> None:
    stack.sim.knobs(latency_ms={"all": 60})
    first = stack.worker()
    stack.beat()
    ids = [receipt.id for receipt in stack.producer.enqueue_many(record(i) for i in range(1000))]
    wait_until(lambda: len(stack.keys()) > 200)
    kill(first)
    assert len(stack.keys()) < 1000, "the kill came too late to prove anything"
    stack.worker()
    wait_until(lambda: stack.counts()["delivered"] == 1000)
    seen = stack.keys()
    assert set(seen) == set(ids)
    for job_id in (job_id for job_id, times in seen.items() if times > 1):
        verdicts = [attempt.verdict for attempt in stack.producer.job(job_id).history.attempts()]
        assert "lost_answer" in verdicts, "sent twice, and its record does not say why"


def test_each_token_revocation_costs_one_fetch_per_region(stack: Stack) -> None:
    stack.sim.knobs(latency_ms={"all": 30})
    for region in ("eu", "us"):
        stack.worker(region)
    stack.beat()
    for job in [stack.producer.enqueue(record(-1, region)) for region in ("eu", "us")]:
        job.result(timeout=60)  # both are claimed: neither may end before the other begins
    list(stack.producer.enqueue_many(record(i, region) for i in range(1500) for region in ("eu", "us")))
    for revocation in (1, 2):
        for region in ("eu", "us"):
            wait_until(lambda r=region, n=revocation: stack.counts(r)["delivered"] > 150 * n)
        stack.sim.revoke()
        # On a busy machine the next revocation could come before any job met this one: two in one fetch.
        renewed = {"eu": revocation + 1, "us": revocation + 1, "au": 0}
        wait_until(lambda expected=renewed: stack.sim.state()["tokens_issued"] == expected)
    for region in ("eu", "us"):
        wait_until(lambda r=region: stack.counts(r)["delivered"] == 1501)
    state = stack.sim.state()
    assert state["tokens_issued"] == {"eu": 3, "us": 3, "au": 0}
    assert state["by"] == {"eu.record": 1501, "us.record": 1501}
    refused = [
        view
        for job_id in stack.producer.ledger(Region.EU).ids(JobState.DELIVERED)
        if len((view := stack.producer.job(job_id)).history.attempts()) > 1
    ]
    assert refused, "no job met a revoked token: nothing was proved"
    assert {a.verdict for view in refused for a in view.history.attempts()} == {"unauthenticated", "delivered"}


def test_a_warm_shutdown_finishes_or_gives_back_what_it_holds(stack: Stack) -> None:
    stack.sim.knobs(latency_ms={"all": 50})
    worker = stack.worker()
    ids = [receipt.id for receipt in stack.producer.enqueue_many(record(i) for i in range(600))]
    wait_until(lambda: stack.counts()["delivered"] > 100)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(timeout=60) == 0
    counts = stack.counts()
    assert counts["sending"] == 0
    assert counts["queued"] + counts["delivered"] == 600
    assert counts["queued"] > 0, "the signal came too late to prove anything"
    stack.sim.knobs(latency_ms={})
    stack.worker()
    stack.beat()
    wait_until(lambda: stack.counts()["delivered"] == 600)
    assert stack.keys() == dict.fromkeys(ids, 1)


def test_a_lost_bell_is_rung_again_by_the_next_tick(stack: Stack) -> None:
    job = stack.producer.enqueue(record(1))
    with stack.redis.client() as client:
        assert client.delete("gaugepost.eu") == 1
    stack.worker()
    stack.beat()
    job.result(timeout=60)


def test_workers_come_back_by_themselves_after_redis_was_killed(stack: Stack) -> None:
    stack.sim.knobs(latency_ms={"all": 20})
    worker = stack.worker()
    stack.beat()
    ids = [receipt.id for receipt in stack.producer.enqueue_many(record(i) for i in range(800))]
    wait_until(lambda: stack.counts()["delivered"] > 100)
    stack.redis.kill()
    stack.redis.start()
    wait_until(lambda: stack.counts()["delivered"] == 800)
    assert worker.poll() is None
    assert set(stack.keys()) == set(ids)


def test_status_changes_of_a_case_keep_order_while_first_is_parked(stack: Stack) -> None:
    stack.worker()
    stack.beat()
    stack.sim.fault("status", endpoint="close_loop", code=500, times=1)
    steps = ("open", "progress", "closed", "open", "closed")
    jobs = [stack.producer.enqueue(CloseLoop(region=Region.EU, number_customergauge=77, status=step)) for step in steps]
    other = stack.producer.enqueue(CloseLoop(region=Region.EU, number_customergauge=78, status="open"))
    other.result(timeout=60)
    for job in jobs:
        job.result(timeout=60)
    sent = [
        e["body"]["status"] for e in stack.sim.effects(kind="close_loop") if e["body"]["number_customergauge"] == "77"
    ]
    assert sent == list(steps)


def test_two_files_start_no_less_than_the_interval_apart(tmp_path: Path) -> None:
    with Stack(tmp_path, **SHORT | {"upload_interval": 5}) as stack:
        stack.sim.knobs(upload_interval=5, upload_interval_mode="refuse")
        stack.worker()
        stack.worker()
        stack.beat()
        stack.beat()
        files = [
            File(
                region=Region.EU,
                family="contact",
                filename=f"f{i}.csv",
                content_base64=csv(f"Email\np{i}@example.net\n"),
            )
            for i in range(3)
        ]
        for job in [stack.producer.enqueue(file) for file in files]:
            job.result(timeout=60)
        starts = [effect["received_at"] for effect in stack.sim.effects(kind="file")]
        assert all(later - earlier >= 4.99 for earlier, later in itertools.pairwise(starts))
        assert stack.sim.state()["limits_broken"]["eu.interval"] == 0


def test_a_response_whose_answer_was_lost_is_unknown_and_never_sent_again(stack: Stack) -> None:
    stack.worker()
    stack.beat()
    stack.sim.fault("cut_after_commit", endpoint="response", times=1)
    job = stack.producer.enqueue(Response(region=Region.EU, fields={"Email": "lee@example.net"}))
    wait_until(lambda: job.state() is JobState.UNKNOWN)
    other = stack.producer.enqueue(Response(region=Region.EU, fields={"Email": "kim@example.net"}))
    other.result(timeout=60)
    assert stack.keys() == {job.id: 1, other.id: 1}


def test_dead_job_raises_its_verdict_and_field_errors(stack: Stack) -> None:
    stack.worker()
    bad = stack.producer.enqueue(
        PersonalLink(region=Region.EU, configuration="multi-object", record={"Email": "no address"})
    )
    with pytest.raises(JobDead) as died:
        bad.result(timeout=60)
    assert died.value.verdict == "invalid_value"
    assert list(died.value.field_errors) == ["Email"]


def test_a_missing_credential_holds_only_the_kinds_that_need_it(tmp_path: Path) -> None:
    with Stack(tmp_path, **SHORT, eu_api_key=None) as stack:
        stack.worker()
        held = stack.producer.enqueue(Response(region=Region.EU, fields={"Email": "lee@example.net"}))
        stack.producer.enqueue(record(1)).result(timeout=60)
        wait_until(lambda: held.state() is JobState.PARKED)
        view = stack.producer.job(held.id)
        assert view.reason == "EU_API_KEY is not set"
        assert view.until is not None
        assert not view.history.attempts()


def test_logs_contain_no_personal_data_and_no_secret(stack: Stack) -> None:
    stack.worker()
    stack.beat()
    stack.sim.fault("status", endpoint="records", code=422, body={"message": "person1@example.net is bad"}, times=1)
    jobs = [stack.producer.enqueue(record(i)) for i in range(3)]
    wait_until(lambda: stack.counts()["delivered"] == 2)
    logs = stack.logs()
    assert jobs[0].id in logs
    for secret in ("example.net", "eu-secret", "eu-key", "Bearer"):
        assert secret not in logs
