"""The lines of docs/drop-in-front.md run as they stand."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from support.deployment import ROOT
from support.hosts import FrontHost

PAGE = (ROOT / "docs/drop-in-front.md").read_text(encoding="utf-8")


@pytest.mark.needs("curl")
def test_lines_of_the_page_run_as_they_are(front: FrontHost, tmp_path: Path) -> None:
    (tmp_path / "crm.key").write_text(f"{front.key}\n")
    script = "\n".join(re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)).replace("8080", str(front.gateway.port))
    done = subprocess.run(["bash", "-eu", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    decoder, text, found = json.JSONDecoder(), done.stdout, []
    while text.strip():
        one, end = decoder.raw_decode(text.lstrip())
        found.append(one)
        text = text.lstrip()[end:]
    link, status, *accepted = found
    documented = [
        json.loads(line) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()
    ]
    assert link["data"].keys() == documented[0]["data"].keys()
    assert [status, accepted] == [documented[1], [documented[2]] * 2]
    kinds = {effect["kind"] for effect in front.effects()}
    assert kinds >= {"record", "personal_link", "close_loop", "response"}
