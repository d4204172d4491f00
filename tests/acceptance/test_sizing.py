"""The sizing page's bytes a job are those of this version."""

from __future__ import annotations

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
    head, _, *rows = (line for line in page.splitlines() if line.startswith("| ") and line.count("|") == len(STATES) + 3)
    states = [cell.strip() for cell in head.split("|")[2:-1]]
    cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows]
    return {job: dict(zip(states, (float(size.replace(",", "")) for size in sizes), strict=True)) for job, *sizes in cells}


@pytest.fixture(scope="module")
def sizing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sizing]:
    with running_redis(tmp_path_factory.mktemp("redis")) as url, redis.Redis.from_url(url) as client:
        settings = Settings.given(redis_url=url, upload_interval=0.001, api_url="http://127.0.0.1:1")
        yield Sizing(client, settings)


def test_page_has_a_row_for_each_kind_that_is_measured() -> None:
    assert stated().keys() == KINDS.keys()


@pytest.mark.parametrize("job", KINDS)
def test_job_takes_the_bytes_that_the_page_says(sizing: Sizing, job: str) -> None:
    make, number = KINDS[job]
    assert sizing.bytes_of(make, number // 10) == pytest.approx(stated()[job], rel=0.1)
