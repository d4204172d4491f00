"""Find the tests that start a process: `make unit` runs the others, which fail as soon as they start one.

A test starts a process if it is in one of FOLDERS, uses the fixture `redis_server`, needs a system program, or is
marked `starts_process`. tests/conftest.py takes the hooks from here.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from pathlib import Path

import pytest

FOLDERS = frozenset({"acceptance", "integration", "simulator"})
_TESTS = Path(__file__).parents[1]
_STARTS = frozenset({"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"})
_guarded = False


def _refuse(event: str, _: tuple[object, ...]) -> None:
    if _guarded and event in _STARTS:
        pytest.fail(f"{event}: mark this test @pytest.mark.starts_process, or do without a process", pytrace=True)


sys.addaudithook(_refuse)


@pytest.hookimpl(tryfirst=True)  # before `-m` selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _starts_process(item):
            item.add_marker("starts_process")


def _starts_process(item: pytest.Item) -> bool:
    folder = item.path.relative_to(_TESTS).parts[0] if item.path.is_relative_to(_TESTS) else ""
    fixtures = getattr(item, "fixturenames", ())
    return folder in FOLDERS or "redis_server" in fixtures or item.get_closest_marker("needs") is not None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    global _guarded  # noqa: PLW0603 - an audit hook takes no state of its own
    _guarded = item.get_closest_marker("starts_process") is None
    try:
        return (yield)
    finally:
        _guarded = False
