"""Check the sizes of modules, classes, functions and scripts. Each exception is listed with its reason."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("producers", "tasks", "workers", "ops", "tests", "benchmarks")
OLD_VERSIONS = ROOT / "tests/support/versions"

MODULE_LINES, CLASS_LINES, FUNCTION_LINES, SCRIPT_LINES = 300, 150, 40, 110

PRODUCER = "the API of a service in one place: it is long by the docstrings of its public calls"

# What may be longer, and why. A row whose code has become short enough must go.
EXCEPTIONS = {
    "producers/gaugepost/client.py:Producer": PRODUCER,
    "producers/gaugepost/async_client.py:AsyncProducer": PRODUCER,
}


def files(ending: str) -> list[Path]:
    found = (path for folder in FOLDERS for path in (ROOT / folder).rglob(f"*.{ending}"))
    return sorted(path for path in found if not path.is_relative_to(OLD_VERSIONS))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def length(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def long_definitions(source: str) -> Iterator[str]:
    """Yield the name of each class and function that is too long. Decorators do not count."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef):
            most = CLASS_LINES
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            most = FUNCTION_LINES
        else:
            continue
        if (node.end_lineno or 0) - node.lineno + 1 > most:
            yield node.name


@functools.cache
def too_long() -> frozenset[str]:
    """Return each long module and script by its path, and each long class and function as `path:name`."""
    found = {name(path) for path in files("py") if length(path) > MODULE_LINES}
    found |= {name(path) for path in files("lua") if length(path) > SCRIPT_LINES}
    for path in files("py"):
        found |= {f"{name(path)}:{one}" for one in long_definitions(path.read_text(encoding="utf-8"))}
    return frozenset(found)


def test_only_listed_exceptions_are_too_long() -> None:
    assert too_long() - EXCEPTIONS.keys() == set(), "split it by what it holds, or list it with the reason"


def test_no_listed_exception_is_short_enough() -> None:
    assert EXCEPTIONS.keys() - too_long() == set(), "take it off the list"


def test_sizes_are_read_from_all_packages() -> None:
    assert len(files("py")) > 300
    assert len(files("lua")) > 30


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("def small():\n" + "    pass\n" * 39, []),
        ("async def large():\n" + "    pass\n" * 40, ["large"]),
        ("class Small:\n" + "    a = 1\n" * 149, []),
        ("class Large:\n" + "    a = 1\n" * 150, ["Large"]),
    ],
)
def test_long_definition_is_found(source: str, found: list[str]) -> None:
    assert list(long_definitions(source)) == found
