"""Check single processes with a real Redis: beat, supervisor, `check`, and holds through real workers."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from gaugepost import JobState, PersonalLink, Record, Region, Response
from support.stack import Stack, children, kill
from support.wait import wait_until

SHORT = {"connect_timeout": 1, "read_timeout": 2, "lease": 4}


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with Stack(tmp_path, **SHORT) as stack:
        yield stack


def test_two_beats_tick_no_more_than_is_read_and_leave_no_file(stack: Stack) -> None:
    stack.beat()
    stack.beat()
    with stack.redis.client() as client:
        wait_until(lambda: client.llen("gaugepost.eu.ticks") >= 8)
        before = client.llen("gaugepost.eu.ticks")
        wait_until(lambda: client.llen("gaugepost.us.ticks") >= 8)
        assert client.llen("gaugepost.eu.ticks") <= before + 1  # two beats may look at the same moment
    assert {path.suffix for path in stack.folder.iterdir() if path.is_file()} <= {".log"}


def test_supervisor_restarts_a_dead_worker_process_and_ends_all_with_itself(stack: Stack) -> None:
    supervisor = stack.worker(processes=2)
    first, _ = wait_until(lambda: len(found := children(supervisor)) == 2 and found)
    stack.producer.enqueue(record(1)).result(timeout=60)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: len(found := children(supervisor)) == 2 and first not in found)
    for job in [stack.producer.enqueue(record(i)) for i in range(2, 30)]:
        job.result(timeout=60)
    supervisor.send_signal(signal.SIGTERM)
    assert supervisor.wait(timeout=60) == 0


def test_supervisor_stopped_just_before_a_restart_leaves_no_process(stack: Stack) -> None:
    supervisor = stack.worker(processes=2)
    first, _ = wait_until(lambda: len(found := children(supervisor)) == 2 and found)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: "restarting it" in stack.logs())  # which it does a second later
    supervisor.send_signal(signal.SIGTERM)
    assert supervisor.wait(timeout=60) == 0


def record(i: int, configuration: str = "multi-object") -> Record:
    return Record(region=Region.EU, configuration=configuration, record={"Email": f"person{i}@example.net"})


def test_check_names_the_fault_of_the_credentials(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):
        for variant in (name, name.lower()):
            monkeypatch.delenv(variant, raising=False)
    good = stack.cli("check", "--json")
    assert good.returncode == 0, good.stdout + good.stderr
    rows = [*map(json.loads, good.stdout.splitlines())]
    assert {row["what"] for row in rows} == {"redis", "rights", "token", "data_key", "api_key", "worker", "beat"}
    stack.sim.knobs(credentials={"us": {"client_secret": "changed"}})
    bad = stack.cli("check", "--json")
    assert bad.returncode == 1
    wrong = [row for row in map(json.loads, bad.stdout.splitlines()) if not row["ok"]]
    assert [(row["region"], row["what"]) for row in wrong] == [("us", "token")]
    assert "us-secret" not in bad.stdout + bad.stderr


def test_check_names_the_parts_that_are_absent_and_does_not_fail(stack: Stack) -> None:
    done = stack.cli("check")
    assert done.returncode == 0
    absence = "no worker of eu has been seen (never); start one: gaugepost worker --region eu"
    assert f"absent  eu  worker: {absence}\n" in done.stdout
    assert "absent  eu  beat: no beat has ticked (never); start one: gaugepost beat\n" in done.stdout
    stack.worker()
    stack.beat()

    def parts() -> dict[tuple[str, str], bool]:
        rows = map(json.loads, stack.cli("check", "--json").stdout.splitlines())
        return {(row["region"], row["what"]): row["absent"] for row in rows if row["what"] in {"worker", "beat"}}

    wait_until(lambda: parts() == {
        ("eu", "worker"): False, ("us", "worker"): True, ("au", "worker"): True,
        ("eu", "beat"): False, ("us", "beat"): False, ("au", "beat"): False,
    }, what="the worker of eu and beat are there")  # fmt: skip
    assert "ok      eu  worker: 1 alive\n" in stack.cli("check").stdout


def test_killed_worker_and_beat_are_reported_missing(stack: Stack) -> None:
    worker, beat = stack.worker(), stack.beat()
    stack.producer.enqueue(record(0)).result(timeout=60)

    def missing() -> set[str]:
        [row] = [
            row for row in map(json.loads, stack.cli("status", "--json").stdout.splitlines()) if row["region"] == "eu"
        ]
        return {one["part"] for one in row["missing"]}

    wait_until(lambda: missing() == set(), what="both are there")
    kill(beat)
    kill(worker)
    job = stack.producer.enqueue(record(1))
    wait_until(lambda: missing() == {"worker", "beat"}, what="both are missed")
    reason = json.loads(stack.cli("job", job.id, "--json").stdout)["reason"]
    assert reason.startswith("no worker of eu has been seen since ")
    stack.worker()
    job.result(timeout=60)
    wait_until(lambda: missing() == {"beat"}, what="the new worker is there")


def test_check_reports_the_proxy_and_ignores_that_of_the_environment(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://joe:env-password@127.0.0.1:1")
    stack.variables["GAUGEPOST_PROXY_URL_US"] = "http://joe:us-password@127.0.0.1:1"
    done = stack.cli("check", "--json")
    rows = {(row["region"], row["what"]): row for row in map(json.loads, done.stdout.splitlines())}
    assert rows["all", "environment"]["ok"]
    assert "HTTPS_PROXY" in rows["all", "environment"]["detail"]
    assert rows["us", "proxy"]["detail"].endswith(" go through 127.0.0.1:1")
    assert rows["eu", "token"]["ok"]
    assert rows["us", "token"]["detail"].startswith("unreachable: proxy: 127.0.0.1:1: connection refused")
    assert ("eu", "proxy") not in rows
    assert "-password" not in done.stdout + done.stderr


def test_file_that_cannot_be_used_ends_a_part_with_its_setting(stack: Stack) -> None:
    stack.variables["GAUGEPOST_CA_FILE"] = "gone.pem"
    for command in (
        ["check"], ["up"], ["worker", "--region", "eu"], ["worker", "--region", "eu", "--processes", "2"],
    ):  # fmt: skip
        done = stack.cli(*command, timeout=30)
        assert done.returncode == 2
        assert "GAUGEPOST_CA_FILE: cannot be read: FileNotFoundError" in done.stderr


def test_missing_mapping_gets_one_request_and_holds_only_its_jobs(stack: Stack) -> None:
    stack.worker()
    stack.beat()
    bad = [receipt.id for receipt in stack.producer.enqueue_many(record(i, "unknown-mapping") for i in range(500))]
    good = [receipt.id for receipt in stack.producer.enqueue_many(record(i) for i in range(500))]
    wait_until(lambda: (c := stack.counts())["delivered"] == 500 and c["parked"] == 500)
    assert stack.sim.state()["requests"]["eu.records.404"] <= 2
    view = stack.producer.job(bad[-1])
    assert (view.state, view.reason, view.history.attempts()) == (JobState.PARKED, "unknown_mapping", [])
    assert view.until is not None
    assert stack.counts()["holds"] == ["configuration:unknown-mapping"]
    assert set(stack.keys()) == set(good)


def test_throttled_endpoints_wait_for_retry_after_while_others_deliver(stack: Stack) -> None:
    stack.sim.fault("status", endpoint="records", code=429, headers={"Retry-After": "5"}, times=1)
    stack.worker()
    stack.beat()
    jobs = [stack.producer.enqueue(record(i)) for i in range(20)]
    wait_until(lambda: stack.counts()["holds"] == ["endpoints:imports"])
    response = Response(region=Region.EU, fields={"Email": "joe@example.net"})
    stack.producer.enqueue(response).result(timeout=60)
    waiting = [view for job in jobs if not (view := stack.producer.job(job.id)).has_ended]
    assert waiting, "the hold was over before the response was delivered: nothing is proved"
    assert {view.reason for view in waiting} <= {"hold: throttled", "throttled", None}
    for job in jobs:
        job.result(timeout=60)
    assert stack.counts()["holds"] == []
    assert stack.sim.state()["requests"]["eu.records.429"] == 1
    assert len(stack.sim.effects(kind="record")) == 20


def test_retry_after_of_a_day_is_capped_from_any_endpoint(tmp_path: Path) -> None:
    day = {"Retry-After": "86400"}
    with Stack(tmp_path, retry_after_cap="1s") as stack:
        stack.sim.fault("status", endpoint="token", code=429, headers=day, times=1)
        stack.sim.fault("status", endpoint="records", code=429, headers=day, times=1)
        stack.worker()
        stack.beat()
        job = stack.producer.enqueue(record(1))
        job.result(timeout=60)
        messages = [attempt.message for attempt in stack.producer.job(job.id).history.attempts()]
        assert messages[0] == "HTTP 429, Retry-After of 86400 s cut to 1 s"


def test_refused_client_holds_what_needs_a_token_and_costs_no_try(stack: Stack) -> None:
    stack.sim.knobs(credentials={"eu": {"client_secret": "changed"}})
    worker = stack.worker()
    stack.beat()
    jobs = [stack.producer.enqueue(record(i)) for i in range(5)]
    wait_until(lambda: stack.counts()["holds"] == ["credentials:oauth"] and not stack.counts()["sending"])
    refusal = "token endpoint: HTTP 401, Client authentication failed"
    for view in (stack.producer.job(job.id) for job in jobs):
        assert view.history.entries == ()
        assert view.reason is not None
        assert view.reason.removeprefix("hold: ").startswith(f"{refusal} (credential ")
    assert stack.sim.state()["effects"] == 0
    kill(worker)
    stack.sim.knobs(credentials=None)
    stack.worker()
    assert stack.cli("resume", "eu", "--credentials", "oauth").returncode == 0
    for job in jobs:
        job.result(timeout=60)


def test_job_in_back_off_can_be_cancelled_but_a_delivered_one_cannot(stack: Stack) -> None:
    stack.worker()
    stack.beat()
    link = PersonalLink(region=Region.EU, configuration="multi-object", record={"Email": "no-campaign@example.com"})
    parked = stack.producer.enqueue(link)
    wait_until(lambda: parked.state() is JobState.PARKED)
    assert stack.cli("cancel", parked.id).returncode == 0
    assert parked.state() is JobState.CANCELLED
    delivered = stack.producer.enqueue(record(1))
    delivered.result(timeout=60)
    assert stack.cli("cancel", delivered.id).returncode == 1
