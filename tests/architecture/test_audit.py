"""Every command is either recorded in the audit trail, or listed with the reason why it is not."""

from __future__ import annotations

import ast
import inspect
import sys
from typing import TYPE_CHECKING, Any

import pytest

from gaugepost_ops.cli.app import COMMANDS, load
from gaugepost_ops.cli.audited import NOT_RECORDED, RECORDED

if TYPE_CHECKING:
    from collections.abc import Iterator

CHANGES = {"cancel", "replay", "resolve", "hold", "resume", "enqueue_set", "undo", "upload", "start", "erase"}
"""The calls of a ledger or of uploads with which an operator changes something."""


def functions() -> dict[str, Any]:
    """Return each command, with the commands of groups, and its function."""
    return dict(found for name in COMMANDS for found in _functions(name, load(name)))


def _functions(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    parts = getattr(command, "commands", {})
    if command.callback is not None and (not parts or command.invoke_without_command):
        yield name, inspect.unwrap(command.callback)
    for part, of_group in parts.items():
        yield from _functions(f"{name} {part}", of_group)


def actions(module: str) -> set[str]:
    """Return the actions that a module records: the first arguments of `audited` and `audited_producer`."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    recorded = [call for call in calls if call.func.id in {"audited", "audited_producer"}]  # type: ignore[attr-defined]
    return {call.args[0].value for call in recorded if isinstance(call.args[0], ast.Constant)}  # type: ignore[misc]


def test_every_command_is_recorded_or_says_why_it_is_not() -> None:
    assert RECORDED.keys() & NOT_RECORDED.keys() == set()
    assert sorted(functions()) == sorted(RECORDED.keys() | NOT_RECORDED.keys())


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_command_writes_entries_under_its_name(name: str) -> None:
    assert name in actions(functions()[name].__module__)


def test_command_that_takes_show_data_is_recorded() -> None:
    takes = {name for name, function in functions().items() if "show_data" in inspect.signature(function).parameters}
    assert takes
    assert takes - RECORDED.keys() == set()


def test_module_of_a_command_that_is_not_recorded_calls_no_change() -> None:
    found = set()
    for name in NOT_RECORDED:
        module = functions()[name].__module__
        if actions(module):  # it also has commands that are recorded
            continue
        tree = ast.parse(inspect.getsource(sys.modules[module]))
        calls = {
            node.func.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        }
        found |= {f"{name}: {call}" for call in calls & CHANGES}
    assert found == set()
