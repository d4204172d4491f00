"""Check that jobs take no more memory than the sizing page says. Other versions of Redis take less than 7.0."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis
from benchmarks.sizing import KINDS, STATES, Sizing

from gaugepost import Settings
from support.redis_server import running_redis

if TYPE_CHECKING:
    from collections.abc import Iterator


def stated() -> dict[str, dict[str, float]]:
    """Read the table of the page: job → state → bytes."""
    page = (Path(__file__).parents[2] / "docs" / "sizing.md").read_text()
    head, _, *rows = (
        line for line in page.splitlines() if line.startswith("| ") and line.count("|") == len(STATES) + 3
    )
    states = [cell.strip() for cell in head.split("|")[2:-1]]
    cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows]
    return {
        job: dict(zip(states, (float(size.replace(",", "")) for size in sizes), strict=True)) for job, *sizes in cells
    }


@pytest.fixture(scope="module")
def sizing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sizing]:
    with running_redis(tmp_path_factory.mktemp("redis")) as url, redis.Redis.from_url(url) as client:
        settings = Settings.given(redis_url=url, upload_interval=0.001, api_url="http://127.0.0.1:1")
        sizing = Sizing(client, settings)
        sizing.bytes_of(*next(iter(KINDS.values())))  # what a server takes once counts for no job
        yield sizing


def test_page_has_a_row_for_each_kind_that_is_measured() -> None:
    assert stated().keys() == KINDS.keys()


@pytest.mark.parametrize("job", KINDS)
def test_job_takes_no_more_bytes_than_the_page_says(sizing: Sizing, job: str) -> None:
    make, number = KINDS[job]
    found, page = sizing.bytes_of(make, number // 4), stated()[job]
    assert {state: size for state, size in found.items() if size > 1.1 * page[state]} == {}


def test_event_of_a_webhook_takes_no_more_bytes_than_the_page_says(sizing: Sizing) -> None:
    page = " ".join((Path(__file__).parents[2] / "docs" / "sizing.md").read_text().split())
    [new, failed] = map(int, re.findall(r"takes (\d+) bytes, and (\d+) bytes after its first failure", page)[0])
    found = sizing.bytes_of_events()
    assert found["not tried yet"] < 1.1 * new
    assert found["tried again later"] < 1.1 * failed
