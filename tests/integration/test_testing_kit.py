"""The test kit as a service uses it: the example of docs/testing.md, and the fixtures that start real parts."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import gaugepost.testing.controls
from gaugepost import (
    BacklogFull,
    Region,
    Settings,
    SettingsError,
)
from gaugepost.testing import Parts
from gaugepost_simulator import Simulator
from support.factories import link, record

pytest_plugins = ["gaugepost_ops.pytest_plugin"]

PAGE = Path(__file__).parents[2] / "docs/testing.md"


def example(folder: Path) -> None:
    """Write the files that the page shows: each block of Python names its file in its first line."""
    for name, text in re.findall(r"```python\n# ([\w/.]+\.py)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)


def run_tests(folder: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("GAUGEPOST_", "PYTEST_"))}
    command = [sys.executable, "-m", "pytest", "-W", "error", "--basetemp", str(folder / "tmp"), *options]
    return subprocess.run(
        command, cwd=folder, env=outside | environment, capture_output=True, text=True, timeout=110, check=False
    )


def test_the_example_of_the_page_passes_whatever_is_set_outside(tmp_path: Path) -> None:
    example(tmp_path)
    (tmp_path / ".env").write_text("GAUGEPOST_REDIS_URL=redis://127.0.0.1:1/0\nGAUGEPOST_NONSENSE=1\n")
    done = run_tests(tmp_path, "-n", "2", GAUGEPOST_BACKLOG_LIMIT="-1", GAUGEPOST_REDIS_URL="redis://127.0.0.1:1/0")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\b5 passed", done.stdout), done.stdout
    assert not [line for line in running() if str(tmp_path) in line], "it left a process"


def running() -> list[str]:
    """Return the command lines, and the folders, of all processes."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            found.append((process / "cmdline").read_text() + str((process / "cwd").readlink()))
        except OSError:
            continue
    return found


def test_a_real_worker_that_fails_a_test_shows_its_log(tmp_path: Path) -> None:
    example(tmp_path)
    (tmp_path / "test_failing.py").write_text(
        "def test_it(gaugepost_stack, gaugepost_worker):\n"
        "    worker = gaugepost_worker('nowhere')\n"
        "    assert worker.wait(60) == 0\n"
    )
    done = run_tests(tmp_path, "test_failing.py")
    assert done.returncode == 1
    assert "'nowhere' is not one of" in done.stdout, done.stdout


@pytest.fixture
def gaugepost_settings() -> dict[str, object]:
    return {"backlog_limit": 2, "regions": "eu,us"}


def test_the_fixtures_are_the_real_way_to_the_simulator(
    gaugepost_stack: Parts, gaugepost_simulator: Simulator, gaugepost_worker: Callable[..., subprocess.Popen[bytes]]
) -> None:
    worker = gaugepost_worker("us", concurrency=4)
    jobs = [gaugepost_stack.producer.enqueue(link(region="us", configuration="survey")) for _ in range(2)]
    assert len({job.result(timeout=60).survey_link for job in jobs}) == 2
    assert len(gaugepost_simulator.effects(region="us")) == 2
    gaugepost_stack.end(grace=30)
    assert worker.returncode == 0, "it was not ended warmly"


def test_settings_are_those_of_the_fixture_and_hold_for_all_parts(gaugepost_stack: Parts) -> None:
    for _ in range(2):
        gaugepost_stack.producer.enqueue(record())
    with pytest.raises(BacklogFull):
        gaugepost_stack.producer.enqueue(record())
    done = gaugepost_stack.cli("enqueue", "-", stdin=record().to_json() + "\n")
    assert (done.returncode, "2 jobs are waiting" in done.stderr) == (1, True), done.stderr
    assert gaugepost_stack.cli("status", "--json").stdout.count("\n") == 2


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_begins_with_nothing(gaugepost_stack: Parts, gaugepost_simulator: Simulator, turn: int) -> None:
    assert gaugepost_simulator.faults() == []
    assert gaugepost_stack.producer.ledger(Region.EU).summary()["queued"] == 0
    gaugepost_stack.producer.enqueue(record())
    gaugepost_simulator.fault("status", code=500, endpoint="records")


def test_the_examples_in_the_docstrings_are_true() -> None:
    found = doctest.testmod(gaugepost.testing.controls)
    assert (found.failed, found.attempted > 5) == (0, True)


def test_settings_that_are_given_are_checked_as_all_others() -> None:
    with pytest.raises(SettingsError, match=r"GAUGEPOST_BACKLOG_LIMT: unknown setting; did you mean .*_LIMIT"):
        Settings.given(backlog_limt=1)
    with pytest.raises(SettingsError, match="GAUGEPOST_BACKLOG_LIMIT"):
        Settings.given(backlog_limit=0)
