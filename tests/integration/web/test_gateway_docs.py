"""The lines of docs/gateway.md run as they stand."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from support.deployment import ROOT
from support.gateway import GatewayProcess

PAGE = (ROOT / "docs/gateway.md").read_text(encoding="utf-8")


@pytest.mark.needs("curl")
def test_lines_of_the_page_run_as_they_are(gateway: GatewayProcess, key: str, tmp_path: Path) -> None:
    (tmp_path / "crm.key").write_text(f"{key}\n")
    script = "\n".join(re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)).replace("8080", str(gateway.port))
    done = subprocess.run(["bash", "-eu", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    text, decoder, found = done.stdout, json.JSONDecoder(), []
    while text.strip():
        one, end = decoder.raw_decode(text.lstrip())
        found.append(one)
        text = text.lstrip()[end:]
    accepted, shown, array, first, second, cancelled, *bulk = found
    planned, file, cancelled_file, groups, operation, aborted, audit = bulk
    assert (planned["id"], file["states"], cancelled_file["cancelled"]) == (None, {"waiting": 1}, 1)
    assert (groups["dry_run"], operation["reason"], aborted["state"]) == (True, "wrong campaign", "aborted")
    assert [one["outcome"] for one in audit["entries"]] == ["done"]
    documented = [
        json.loads(line) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()
    ]
    assert accepted | {"id": ""} == documented[0] | {"id": ""}
    assert (shown["id"], shown["state"]) == (accepted["id"], "queued")
    assert [row["state"] for row in array] == ["queued", "queued"]
    assert (cancelled["idempotency_key"], cancelled["state"]) == ("order-1", "cancelled")
    assert [first | {"id": ""}, second] == [documented[1] | {"id": ""}, documented[2]]
