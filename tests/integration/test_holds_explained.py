"""Check what every screen and the log say about a hold, with real workers and one fault each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gaugepost import JobState, PersonalLink, Record, Region, Response
from gaugepost.client import Receipt
from support.stack import Stack
from support.wait import wait_until

TOKEN_REFUSED = "token endpoint: HTTP 401, Client authentication failed"
SLOWER = "CustomerGauge asks to send more slowly"


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    quick = ",".join(["0.2s"] * 8)
    with Stack(tmp_path, log_format="json", backoff__server_error=quick) as stack:
        stack.beat()
        yield stack


def record(i: int = 0, configuration: str = "multi-object") -> Record:
    return Record(region=Region.EU, configuration=configuration, record={"Email": f"person{i}@example.net"})


def response() -> Response:
    return Response(region=Region.EU, fields={"Email": "joe@example.net"}, net_promoter_score=9)


def held(stack: Stack, scope: str) -> None:
    wait_until(lambda: scope in stack.producer.ledger(Region.EU).holds(), what=f"{scope} is held")


def logged(stack: Stack, event: str) -> list[dict[str, Any]]:
    """Return the log lines of one event, without an incomplete last line."""
    lines = [json.loads(line) for line in stack.logs().splitlines() if line.endswith("}")]
    return [line for line in lines if line["event"] == event]


def first_logged(stack: Stack, event: str) -> dict[str, Any]:
    return wait_until(lambda: logged(stack, event), what=f"log line: {event}")[0]


def screen(stack: Stack, *command: str) -> str:
    done = stack.cli(*command)
    assert done.returncode == 0, done.stderr
    return done.stdout


def parked(stack: Stack, job: Receipt[Any]) -> None:
    wait_until(lambda: job.state() is JobState.PARKED, what="the job is parked")


def test_refused_token_is_explained_on_every_screen_and_in_the_log(stack: Stack) -> None:
    stack.sim.knobs(credentials={"eu": {"client_secret": "changed"}})
    stack.worker()
    job = stack.producer.enqueue(record())
    held(stack, "credentials:oauth")
    parked(stack, job)
    to_do = "Correct GAUGEPOST_EU_CLIENT_ID and GAUGEPOST_EU_CLIENT_SECRET on the workers and restart them"
    for command in (("holds",), ("status",), ("job", job.id), ("jobs",), ("jobs", "--group")):
        output = screen(stack, *command)
        assert TOKEN_REFUSED in output, command
        assert "CustomerGauge refuses the credential" in output, command
        if command not in {("status",), ("jobs",)}:
            assert to_do in output, command
    assert "opened by 1 failed request at " in screen(stack, "holds")
    assert "opened by 1 failed request at " in screen(stack, "status")
    opened = first_logged(stack, "hold opened")
    assert (opened["level"], opened["region"], opened["hold"]) == ("warning", "eu", "credentials:oauth")
    assert opened["reason"].startswith(TOKEN_REFUSED)
    assert opened["to_do"].startswith(to_do)
    assert "changed" not in stack.logs()


def test_refused_api_key_is_explained_in_the_words_of_its_endpoint(stack: Stack) -> None:
    stack.sim.knobs(credentials={"eu": {"api_key": "changed"}})
    stack.worker()
    job = stack.producer.enqueue(response())
    held(stack, "credentials:api_key")
    parked(stack, job)
    output = screen(stack, "job", job.id)
    assert re.search(r"responses: HTTP 401, \w.* \(credential \w{8}\) \(CustomerGauge refuses the credential\)", output)
    assert "Correct GAUGEPOST_EU_API_KEY on the workers" in output


def test_throttling_is_explained_and_its_hold_is_logged_from_opening_to_lifting(stack: Stack) -> None:
    stack.sim.fault("status", endpoint="records", code=429, headers={"Retry-After": "6"}, times=2)
    stack.worker()
    jobs = [stack.producer.enqueue(record(i)) for i in range(5)]
    held(stack, "endpoints:imports")
    parked(stack, jobs[0])
    for command in (("holds",), ("status",), ("job", jobs[0].id), ("jobs",), ("jobs", "--group")):
        assert f"throttled ({SLOWER})" in screen(stack, *command), command
    assert "Nothing to do: delivery resumes by itself." in screen(stack, "holds")
    for job in jobs:
        job.result(timeout=60)
    lifted = first_logged(stack, "hold lifted")
    assert (lifted["level"], lifted["verdict"], lifted["hold"]) == ("info", "throttled", "endpoints:imports")
    assert [line["level"] for line in logged(stack, "hold opened")] == ["warning"]
    [moved] = logged(stack, "hold probe failed")
    assert (moved["level"], moved["probes"].split(",")[0]) == ("warning", "1 probe failed")
    assert "HTTP 429 (throttled)" in lifted["cause"]


def test_breaker_names_the_failed_requests_that_opened_it(stack: Stack) -> None:
    stack.sim.fault("status", endpoint="records", code=500)
    stack.worker()
    for n in range(8):
        stack.producer.enqueue(record(n, f"multi-object-{n % 2}"))
    held(stack, "")
    waiting = stack.producer.enqueue(record())
    cause = (
        r"opened by \d failed requests in a row, [\d:]+ to [\d:]+: \d x HTTP 500 \(server_error\), "
        r"of [3-8] jobs \(record; 2 configurations\)"
    )
    for command in ("holds", "status"):
        output = " ".join(screen(stack, command).split())
        assert re.search(cause, output), output
        assert "breaker: server_error (several requests to CustomerGauge failed in a row)" in output
    [row] = [json.loads(line) for line in screen(stack, "holds", "--json").splitlines()]
    assert row["cause"]["failures"] >= 5
    assert {request["status"] for request in row["cause"]["requests"]} == {500}
    assert "hold: breaker: server_error (several requests" in screen(stack, "job", waiting.id)
    assert json.loads(screen(stack, "job", waiting.id, "--json"))["hold"]["cause"] == row["cause"]
    opened = first_logged(stack, "hold opened")
    assert (opened["hold"], opened["verdict"]) == ("region", "server_error")
    assert "failed requests in a row" in opened["cause"]
    assert "person0" not in json.dumps([row, opened])


def test_job_that_dies_is_logged_at_warning_with_its_verdict(stack: Stack) -> None:
    stack.worker()
    link = PersonalLink(region=Region.EU, configuration="multi-object", record={"Email": "duplicate@example.com"})
    job = stack.producer.enqueue(link)
    wait_until(lambda: job.state() is JobState.DEAD, what="the job is dead")
    line = first_logged(stack, "job dead")
    assert (line["level"], line["job"], line["kind"], line["region"]) == ("warning", job.id, "personal_link", "eu")
    assert (line["verdict"], line["status"], line["attempts"]) == ("duplicate", 400, 1)


def test_worker_logs_who_held_a_region_and_why(stack: Stack) -> None:
    stack.worker()
    assert stack.cli("hold", "eu", "--reason", "maintenance", "--by", "ann").returncode == 0
    opened = first_logged(stack, "hold opened")
    assert (opened["by"], opened["reason"], opened["hold"]) == ("ann", "maintenance", "region")
    assert stack.cli("resume", "eu").returncode == 0
    assert first_logged(stack, "hold lifted")["why"].startswith("resumed by ")
