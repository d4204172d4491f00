"""The audit trail on the ledger of an older version, whose processes run beside today's commands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.old_versions import OLDER_NAMES, VERSIONS, Old
from support.stack import Stack
from support.wait import wait_until

JOB: dict[str, Any] = {
    "kind": "record",
    "configuration": "multi-object",
    "record": {"Email": "joe.doe@example.com"},
    "region": "eu",
}


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    with Stack(tmp_path, connect_timeout=1, read_timeout=3, lease=6) as stack:
        yield stack


def actions(stack: Stack) -> list[str]:
    """Return the actions in the audit trail, newest first."""
    return [json.loads(line)["action"] for line in stack.cli("audit", "--json").stdout.splitlines()]


@pytest.mark.parametrize("version", VERSIONS)
def test_commands_are_recorded_while_an_older_worker_delivers(stack: Stack, version: str) -> None:
    old = Old(version, stack)
    [job] = old.enqueue(JOB)
    assert stack.cli("hold", "eu", "--reason", "upgrade").returncode == 0
    assert stack.cli("resume", "eu").returncode == 0
    old.run("worker", "--region", "eu")
    old.run("beat")
    wait_until(lambda: stack.producer.job(job).state == "delivered")
    assert actions(stack) == ["resume", "hold"]


def test_trail_gets_the_name_of_the_namespace_with_the_other_keys(stack: Stack) -> None:
    Old(OLDER_NAMES[-1], stack).enqueue(JOB)
    assert stack.cli("hold", "eu", "--reason", "upgrade").returncode == 0
    with stack.redis.client() as client:
        assert client.exists("gp:{eu}:audit")
        assert stack.cli("move", "eu").returncode == 0
        assert not client.exists("gp:{eu}:audit")
    assert actions(stack) == ["move", "hold"]
