"""Skip tests whose program of ops/system-programs.txt is missing. In CI such a test fails.

`@pytest.mark.needs("redis-cli")` names the program that a test needs. tests/conftest.py uses these hooks.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

_LIST = Path(__file__).parents[2] / "ops/system-programs.txt"
_LINES = [line.split() for line in _LIST.read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
PACKAGES = {program: package for program, package, *_ in _LINES}
"""Debian's package of each program."""
_SKIPPED = "needs "


def skip_without(*programs: str) -> None:
    """Skip the running test if one of these programs is missing here."""
    assert not set(programs) - PACKAGES.keys(), f"ops/system-programs.txt lacks one of {programs}"
    lacking = [program for program in programs if shutil.which(program) is None]
    if lacking:
        pytest.skip(_SKIPPED + ", ".join(lacking))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "needs(program, ...): skip where a program of ops/system-programs.txt is missing"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    skip_without(*(program for mark in item.iter_markers("needs") for program in mark.args))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a skipped test in CI."""
    report = yield
    if os.environ.get("CI") == "true" and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{_reason(report)}: CI takes no skip"
    return report


def pytest_unconfigure(config: pytest.Config) -> None:
    """Say in the last line what to install."""
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    reasons = [_reason(report) for report in reporter.stats.get("skipped", ())] if reporter else []
    named = {one for reason in reasons if reason.startswith(_SKIPPED) for one in reason[len(_SKIPPED) :].split(", ")}
    lacking = named & PACKAGES.keys()  # docker-compose, for one, is no package of Debian's
    if lacking:
        packages = sorted({PACKAGES[program] for program in lacking})
        reporter.write_line(f"skipped tests need {', '.join(sorted(lacking))}: apt-get install {' '.join(packages)}")


def _reason(report: pytest.TestReport) -> str:
    return str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr).removeprefix("Skipped: ")
