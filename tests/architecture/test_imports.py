"""Check modules named in strings, which import-linter cannot see. Its contracts for imports are in pyproject.toml."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
LAYERS = {
    "gaugepost": "producers",
    "gaugepost_tasks": "tasks",
    "gaugepost_workers": "workers",
    "gaugepost_ops": "ops",
}
"""From the lowest to the highest: package → folder."""
_MODULE = re.compile(r"(gaugepost(?:_\w+)?)(?:\.\w+)*(?::\w+)?")


def named_upwards() -> Iterator[tuple[str, str]]:
    """Yield each file and each text in it that names a module of a higher layer."""
    order = list(LAYERS)
    for package, folder in LAYERS.items():
        higher = order[order.index(package) + 1 :]
        for path in (ROOT / folder / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found = _MODULE.fullmatch(node.value)
                    if found and found[1] in higher:
                        yield path.relative_to(ROOT).as_posix(), node.value


def test_only_the_testing_kit_names_a_higher_layer_to_start_its_processes() -> None:
    assert set(named_upwards()) == {("producers/gaugepost/testing/processes.py", "gaugepost_ops")}
    text = (ROOT / "producers/gaugepost/testing/processes.py").read_text(encoding="utf-8")
    assert text.count('"gaugepost_ops"') == text.count('"-m", "gaugepost_ops"')
