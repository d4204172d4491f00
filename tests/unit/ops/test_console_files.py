"""The files of others in the console are those that the decision names."""

from __future__ import annotations

import hashlib
from importlib.resources import files

from support.deployment import ROOT


def test_vendored_scripts_are_those_of_the_decision() -> None:
    decision = (ROOT / "ops/decisions/0001-dependencies.md").read_text()
    folder = files("gaugepost_ops.web.console") / "static"
    found = [one for one in folder.iterdir() if one.name.endswith(".min.js")]
    assert len(found) == 2
    for one in found:
        assert f"`{one.name}`" in decision
        assert hashlib.sha256(one.read_bytes()).hexdigest() in decision


def test_own_script_and_style_load_nothing_from_elsewhere() -> None:
    folder = files("gaugepost_ops.web.console") / "static"
    for name in ("console.js", "console.css"):
        text = (folder / name).read_text()
        assert "http:" not in text
        assert "https:" not in text
        assert "eval(" not in text
