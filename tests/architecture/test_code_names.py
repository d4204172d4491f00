"""Check names: tests say behaviour in a few words, and no identifier has a word that our list of words replaces."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("producers", "tasks", "workers", "ops", "tests", "benchmarks")
OLD_VERSIONS = ROOT / "tests/support/versions"

MOST_WORDS = 12

# Word of an identifier → what to write. docs/README.md has the words of this project.
REPLACED = {
    "told": "the noun: fields, shown, expected",
    "tell": "return, list, log",
    "tells": "return, list, log",
    "somebody": "the actor: caller, worker, operator",
    "anybody": "the actor: caller, worker, operator",
    "everybody": "the actor: caller, worker, operator",
    "nobody": "the actor: no caller, no worker, no operator",
    "whoever": "the actor: caller, worker, operator",
    "courier": "delivery",
    "executor": "dispatcher",
    "witness": "observer",
    "witnesses": "observers",
    "parcel": "claim",
    "parcels": "claims",
    "pulse": "heartbeat",
    "pulses": "heartbeats",
    "vitals": "statistics",
    "door": "validation",
    "sniff": "content_type",
    "steering": "controls",
    "rig": "harness",
    "contestant": "target",
    "contestants": "targets",
}


def sources() -> list[Path]:
    found = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*.*"))
    return sorted(path for path in found if path.suffix in {".py", ".lua"} and not path.is_relative_to(OLD_VERSIONS))


def words(identifier: str) -> list[str]:
    return [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", identifier)]


def defined(source: str) -> Iterator[str]:
    """Yield the names that a Python module defines: functions, classes, parameters, variables, attributes."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def replaced(identifier: str) -> set[str]:
    return set(words(identifier)) & REPLACED.keys()


def names(path: Path) -> set[str]:
    text = path.read_text(encoding="utf-8")
    inside = defined(text) if path.suffix == ".py" else re.findall(r"\blocal (?:function )?(\w+)", text)
    return {path.stem, *inside}


def test_no_name_has_a_replaced_word() -> None:
    found = [(path, name, replaced(name)) for path in sources() for name in names(path)]
    assert [f"{path.relative_to(ROOT)}: {name} → {REPLACED[word]}" for path, name, some in found for word in some] == []
    assert len(found) > 10_000, "the folders have moved"


@pytest.mark.parametrize("identifier", ["told", "_TOLD", "ParcelBuffer", "told_by", "door"])
def test_replaced_word_is_found(identifier: str) -> None:
    assert list(defined(f"{identifier} = 1")) == [identifier]
    assert replaced(identifier)


@pytest.mark.parametrize("identifier", ["trigger", "doors_open", "retold", "original"])
def test_word_within_another_word_is_no_replaced_word(identifier: str) -> None:
    assert not replaced(identifier)


def all_tests() -> list[str]:
    texts = (path.read_text(encoding="utf-8") for path in sources() if path.name.startswith("test_"))
    return [name for text in texts for name in re.findall(r"^ *(?:async )?def (test_\w+)", text, re.MULTILINE)]


def too_many(test: str) -> bool:
    return len(test.removeprefix("test_").split("_")) > MOST_WORDS


def test_each_test_name_has_at_most_twelve_words() -> None:
    assert [test for test in all_tests() if too_many(test)] == []
    assert len(all_tests()) > 1500, "the pattern does not fit the tests any more"


def test_too_long_test_name_is_found() -> None:
    assert too_many("test_" + "_".join(["word"] * 13))
    assert not too_many("test_" + "_".join(["word"] * 12))
