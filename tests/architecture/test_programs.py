"""Check tests that need a program: a missing one skips them here and fails them in CI; root can install it by apt."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.locks import ROOT
from support.programs import PACKAGES

pytestmark = pytest.mark.starts_process

TESTS = """
import pytest
@pytest.mark.needs("prometheus", "redis-cli")
def test_that_needs_two(): pass
@pytest.mark.needs("promtool")
def test_that_needs_another(): pass
def test_that_needs_none(): pass
@pytest.mark.xfail(strict=True)
def test_that_fails_as_expected(): assert False
"""


def run(folder: Path, *programs: str, tests: str = TESTS, **environment: str) -> tuple[int, list[str]]:
    """Run tests on a machine that has these programs alone; return the exit code and the lines."""
    path = folder / "path"
    path.mkdir()
    for program in programs:
        (path / program).write_text("#!/bin/sh\n")
        (path / program).chmod(0o755)
    (folder / "test_it.py").write_text(tests)
    (folder / "conftest.py").write_text("from support.programs import *\n")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n",
        "1",
        "-rs",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(folder),
    ]
    env = {"PATH": str(path), "PYTHONPATH": str(ROOT / "tests"), **environment}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines()


def test_missing_programs_skip_their_tests_and_last_line_says_what_to_install(tmp_path: Path) -> None:
    code, lines = run(tmp_path, "promtool")
    assert code == 0
    assert lines[-1] == "skipped tests need prometheus, redis-cli: apt-get install prometheus redis-tools"
    assert re.match(r"2 passed, 1 skipped, 1 xfailed in ", lines[-2])
    assert any(line.endswith(": needs prometheus, redis-cli") for line in lines)


def test_tests_run_where_their_programs_are_installed(tmp_path: Path) -> None:
    code, lines = run(tmp_path, "promtool", "prometheus", "redis-cli", CI="true")
    assert code == 0
    assert re.match(r"3 passed, 1 xfailed in ", lines[-1])


def test_skipped_test_fails_in_ci(tmp_path: Path) -> None:
    code, lines = run(tmp_path, "promtool", CI="true")
    assert code == 1
    assert "needs prometheus, redis-cli: CI takes no skip" in "\n".join(lines)
    assert re.match(r"2 passed, 1 xfailed, 1 error in ", lines[-1])


def test_program_that_is_not_listed_is_an_error(tmp_path: Path) -> None:
    code, lines = run(tmp_path, "sl", tests='import pytest\n@pytest.mark.needs("sl")\ndef test_it(): pass\n')
    assert code == 1
    assert "ops/system-programs.txt lacks" in "\n".join(lines)


def installing(folder: Path, user: int, *programs: str) -> tuple[list[str], str]:
    """Run ops/install-programs.sh on a machine with these programs; return its calls of apt-get, and its output."""
    path = folder / "path"
    path.mkdir()
    stubs = dict.fromkeys(programs, "") | {
        "id": f"echo {user}",
        "apt-get": f'test -x /usr/sbin/policy-rc.d && echo "$@" >>{folder}/asked',
    }
    for name, line in stubs.items():
        (path / name).write_text(f"#!/bin/sh\n{line}\n")
        (path / name).chmod(0o755)
    for name in ("dirname", "rm", "chmod"):
        (path / name).symlink_to(str(shutil.which(name)))
    done = subprocess.run(
        ["/bin/sh", str(ROOT / "ops/install-programs.sh")],
        env={"PATH": str(path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    asked = folder / "asked"
    return asked.read_text().splitlines() if asked.exists() else [], done.stderr


def test_user_who_is_not_root_installs_nothing(tmp_path: Path) -> None:
    assert installing(tmp_path, 1000) == ([], "")


def test_nothing_is_installed_where_nothing_is_missing(tmp_path: Path) -> None:
    assert installing(tmp_path, 0, *PACKAGES) == ([], "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may forbid the services of packages")
def test_root_installs_what_is_missing_says_so_and_starts_no_service(tmp_path: Path) -> None:
    policy = Path("/usr/sbin/policy-rc.d")
    before = policy.exists()
    asked, said = installing(tmp_path, 0, *(PACKAGES.keys() - {"prometheus", "promtool", "redis-cli"}))
    assert asked == ["update -qq", "install -y -qq --no-install-recommends redis-tools prometheus"]
    assert said.endswith("apt-get installs: redis-tools prometheus\n")
    assert policy.exists() == before
