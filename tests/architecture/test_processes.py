"""Check that `make unit` runs only tests that start no process, and that an unmarked test cannot start one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from support.locks import ROOT

pytestmark = pytest.mark.starts_process
TESTS = """
import os, subprocess, sys, pytest
def run(): subprocess.run([sys.executable, "-c", ""])
def test_starts_one_unmarked():
    try: run()
    except Exception: pass
def test_forks_unmarked(): os.fork() or os._exit(0)
@pytest.fixture(scope="session")
def redis_server(): run()
@pytest.mark.starts_process
def test_starts_one(): run()
def test_uses_redis(redis_server): run()
@pytest.mark.needs("redis-cli")
def test_needs_program(): run()
def test_starts_none(): pass
"""


def run(folder: Path, *options: str) -> dict[str, str]:
    """Run the tests; return the outcome of each that ran."""
    (folder / "test_it.py").write_text(TESTS)
    (folder / "conftest.py").write_text("from support.processes import *\nfrom support.programs import *\n")
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = starts_process\naddopts = --strict-markers\n")
    command = [sys.executable, "-m", "pytest", "-rA", "-q", "-p", "no:cacheprovider", *options]
    env = {"PATH": str(folder), "PYTHONPATH": str(ROOT / "tests")}
    (folder / "redis-cli").symlink_to(sys.executable)
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith(("PASSED", "FAILED", "ERROR"))]
    return {name.partition("::test_")[2]: outcome for outcome, name, *_ in rows}


def test_unmarked_test_fails_when_it_starts_a_process(tmp_path: Path) -> None:
    marked = {"starts_one": "PASSED", "uses_redis": "PASSED", "needs_program": "PASSED"}
    unmarked = {"starts_none": "PASSED", "starts_one_unmarked": "FAILED", "forks_unmarked": "FAILED"}
    assert run(tmp_path) == marked | unmarked


def test_unit_run_leaves_out_tests_that_start_processes(tmp_path: Path) -> None:
    ran = run(tmp_path, "-m", "not starts_process")
    assert ran.keys() == {"starts_none", "starts_one_unmarked", "forks_unmarked"}
