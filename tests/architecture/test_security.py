"""Check that each claim of SECURITY.md names a test that exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_claim_has_its_test() -> None:
    page = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    claims = page.partition("| claim | test |")[2].partition("\n\n")[0].splitlines()[2:]
    without = [claim for claim in claims if "::test_" not in claim]
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", page)
    files = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")}
    assert without == []
    assert [(file, test) for file, test in named if f"def {test}(" not in files.get(file, "")] == []
    assert len(claims) > 10, "the pattern does not fit the page any more"
