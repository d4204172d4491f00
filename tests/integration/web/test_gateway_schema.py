"""schemathesis: docs/openapi.json holds for the requests that it makes from it, valid ones and others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.deployment import ROOT

if TYPE_CHECKING:
    from support.gateway import GatewayProcess

EXAMPLES = 5
"""Requests for each call and phase, beside those at the limits of each field."""
LEFT_OUT = "positive_data_acceptance,negative_data_rejection"
"""The schema cannot say which fields exclude each other; and models read 0 as false, as the command line does."""


def described(folder: Path) -> Path:
    """Write the description in which no request waits: schemathesis would wait a minute for each."""
    text = json.loads((ROOT / "docs/openapi.json").read_text())
    for call in (call for path in text["paths"].values() for call in path.values()):
        call["parameters"] = [one for one in call.get("parameters", []) if one["name"] not in {"wait", "Prefer"}]
    found = folder / "openapi.json"
    found.write_text(json.dumps(text))
    return found


@pytest.mark.timeout(600)
def test_schemathesis_finds_no_failure(gateway: GatewayProcess, key: str, tmp_path: Path) -> None:
    command = [
        *(str(Path(sys.executable).parent / "schemathesis"), "run", str(described(tmp_path)), "--url", gateway.url),
        *("--exclude-checks", LEFT_OUT, "--max-examples", str(EXAMPLES), "--generation-deterministic", "--no-color"),
    ]
    (tmp_path / "schemathesis.toml").write_text(f'headers = {{ Authorization = "Bearer {key}" }}\n')
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=540, check=False, cwd=tmp_path, env=os.environ | {"CI": "true"}
    )
    assert done.returncode == 0, done.stdout[-6_000:] + done.stderr[-1_000:]
    assert "Traceback" not in gateway.log()
