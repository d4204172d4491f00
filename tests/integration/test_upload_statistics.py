"""Read megabytes of upload statistics from the simulator over HTTP: each file is found with its rejected rows."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from gaugepost import File, JobState, Region
from gaugepost_tasks.http_messages import credential_header
from support.stack import Stack
from support.wait import wait_until

ROWS = 2_000
OTHERS = 40


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with Stack(tmp_path, upload_interval="0.2s", backoff__lost_answer="0.2s,0.2s,0.2s,0.2s") as stack:
        stack.sim.knobs(upload_interval=0, reject_rows=list(range(1, ROWS + 1)))
        stack.beat()
        yield stack


def content(name: str) -> bytes:
    rows = [f"{name}-{n}@example.net,Joe" for n in range(ROWS)]
    return "\n".join(["Email,First Name", *rows]).encode()


def statistics_of(stack: Stack, **more: object) -> requests.Response:
    url = stack.variables["GAUGEPOST_API_URL"].replace("{region}", "eu") + "/v4.1/file/transactional.json"
    header = credential_header("api_key", stack.variables["GAUGEPOST_EU_API_KEY"])
    return requests.request("POST" if more else "GET", url, headers={"Authorization": header}, timeout=60, **more)


def upload_others(stack: Stack) -> None:
    """Upload other files, as a user of CustomerGauge's own screen may: the statistics list them too."""
    for n in range(OTHERS):
        file = (f"other-{n}.csv", content(f"other-{n}"))
        assert statistics_of(stack, files={"file": file}).ok


@pytest.mark.parametrize("answer", ["taken", "lost"])
def test_file_among_rejected_rows_of_megabytes_is_found_with_its_own(stack: Stack, answer: str) -> None:
    upload_others(stack)
    if answer == "lost":
        stack.sim.fault("status", endpoint="file", code=500, commit=True, times=1)
    ours = base64.b64encode(content("ours")).decode()
    job = stack.producer.enqueue(
        File(region=Region.EU, family="transactional", filename="march.csv", content_base64=ours)
    )
    assert len(statistics_of(stack).content) > 2_000_000
    stack.worker()
    wait_until(lambda: job.state() is JobState.DELIVERED, what="it is found")
    result = job.result()
    assert (result.total, result.unsuccessful) == (ROWS, ROWS)
    assert result.rejected == tuple(range(1, ROWS + 1))
    assert len(stack.sim.effects(kind="file")) == OTHERS + 1


def test_found_file_is_asked_for_alone_until_it_is_processed(stack: Stack) -> None:
    stack.sim.knobs(processing_seconds=4)
    ours = base64.b64encode(content("ours")).decode()
    job = stack.producer.enqueue(
        File(region=Region.EU, family="transactional", filename="march.csv", content_base64=ours)
    )
    stack.worker()
    wait_until(lambda: job.state() is JobState.DELIVERED, what="it is processed")
    looks = [entry for entry in stack.producer.job(job.id).history.entries if entry["event"] == "check"]
    assert len(looks) > 1
    assert {look["upload_id"] for look in looks} == {1}
