"""What the pages say of the code is made from it."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.starts_process
def test_the_generated_parts_of_the_pages_are_true() -> None:
    command = [sys.executable, "ops/docs.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def sources(*folders: str) -> Iterator[Path]:
    for folder in folders:
        yield from (path for ending in ("py", "lua") for path in (ROOT / folder).rglob(f"*.{ending}"))


def have(name: str, paths: list[Path], definition: str) -> bool:
    """Tell whether a file of this name, or of this end of a path, has such a definition."""
    found = [path for path in paths if str(path).endswith("/" + name)]
    return any(re.search(definition, path.read_text(encoding="utf-8"), re.MULTILINE) for path in found)


def test_all_that_the_promises_name_is_there() -> None:
    page = (ROOT / "docs/promises.md").read_text(encoding="utf-8")
    tests, code = list(sources("tests")), list(sources("producers", "tasks", "workers"))
    attacks = re.findall(r"`(\w+\.py)::(\w+)`", page)
    places = re.findall(r"`([\w/]+\.(?:py|lua))(?::(\w+))?`", page.replace("`lua/", "`gaugepost/lua/"))
    gone = [f"{name}::{test}" for name, test in attacks if not have(name, tests, rf"^(async )?def {test}\(")]
    gone += [
        f"{name}:{what}"
        for name, what in places
        if not have(name, code, rf"^\s*(async def|def|class|local function) {what}\b" if what else "")
        and not (ROOT / name).is_file()
    ]
    assert gone == []
    assert len(attacks) > 40, "the page is not read any more as it is written"


def test_changelog_and_upgrades_are_by_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## {re.escape(version)} \S \d{{4}}-\d\d-\d\d$", changes, re.MULTILINE)
    upgrades = (ROOT / "docs/upgrades.md").read_text(encoding="utf-8")
    assert f" → {version} |" in upgrades
