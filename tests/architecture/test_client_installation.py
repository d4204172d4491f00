"""Check ops/install-client.sh, which `make test` calls: it installs the locked packages once, and never fails."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from support.locks import ROOT

pytestmark = pytest.mark.starts_process

CLIENT = "tests/clients/typescript"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a checkout whose npm notes its options in a file, and fails if there is a file `away`."""
    (tmp_path / "ops").mkdir()
    (tmp_path / ".venv/bin").mkdir(parents=True)
    shutil.copytree(ROOT / CLIENT, tmp_path / CLIENT)
    shutil.copy(ROOT / "ops/install-client.sh", tmp_path / "ops")
    python = tmp_path / ".venv/bin/python"
    python.write_text(f'#!/bin/sh\necho "$*" >>{tmp_path}/asked\ntest ! -e {tmp_path}/away && mkdir node_modules\n')
    python.chmod(0o755)
    return tmp_path


def install(checkout: Path) -> tuple[int, str]:
    """Run the script; return how often it has called npm until now, and what it says."""
    done = subprocess.run([checkout / "ops/install-client.sh"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    asked = checkout / "asked"
    return len([line for line in asked.read_text().splitlines() if " ci " in line]), done.stderr


def test_packages_are_installed_once(checkout: Path) -> None:
    assert install(checkout) == (1, "")
    assert "--ignore-scripts" in (checkout / "asked").read_text()
    assert install(checkout) == (1, "")


def test_changed_lock_installs_again_from_nothing(checkout: Path) -> None:
    install(checkout)
    left = checkout / ".venv/client/node_modules/left"
    left.touch()
    lock = checkout / CLIENT / "package-lock.json"
    lock.write_text(json.dumps(json.loads(lock.read_text()) | {"version": "2"}))
    assert install(checkout) == (2, "")
    assert not left.exists()


def test_failed_npm_says_what_follows_and_is_tried_again(checkout: Path) -> None:
    (checkout / "away").touch()
    assert install(checkout) == (1, "npm failed; the test of the generated client skips\n")
    (checkout / "away").unlink()
    assert install(checkout) == (2, "")
