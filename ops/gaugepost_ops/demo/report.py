"""What the demo prints: its steps, a bar on a terminal, the table of all jobs, and how to go on looking."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text

from gaugepost_ops.demo.outcome import count_states

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gaugepost_ops.demo.environment import Stage
    from gaugepost_ops.demo.outcome import Outcome

_WIDTH = 100
_WIDE = 96  # from here on there is room for the kind
_COLOURS = {"delivered": "green", "parked": "yellow", "waiting": "yellow", "dead": "red", "unknown": "magenta"}


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that must be true of the whole performance."""

    told: str
    is_so: bool


class Reporter:
    """Steps go to stderr, results to stdout."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._err = Console(stderr=True, highlight=False)
        self._bar: Progress | None = None

    @contextmanager
    def bar(self) -> Iterator[None]:
        """Show a bar at the foot of a terminal while the block runs."""
        if not self._err.is_terminal:
            yield
            return
        columns = SpinnerColumn(), TextColumn("jobs at rest"), BarColumn(), MofNCompleteColumn()
        with Progress(*columns, console=self._err, transient=True, redirect_stdout=False) as self._bar:
            self._bar.add_task("", total=self._total)
            yield
        self._bar = None

    def step(self, text: str) -> None:
        """Tell what happens next."""
        self._err.print(f"· {text}", soft_wrap=True, markup=False)

    def progress(self, done: int) -> None:
        """Tell how many jobs are at rest."""
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done)


def show(outcomes: Sequence[Outcome], facts: Sequence[Fact]) -> bool:
    """Print the table, and below it what must be true; tell whether all is as it must be."""
    console = _console()
    yes, no = ("✓", "✗") if not console.options.ascii_only else ("ok", "NO")
    wrong = [(outcome, told) for outcome in outcomes for told in all_differences(outcome)]
    console.print(_table(outcomes, yes, no, with_kind=console.width >= _WIDE))
    for fact in facts:
        console.print(Text.assemble(_mark(fact.is_so, yes, no), " ", fact.told), soft_wrap=True)
    for outcome, told in wrong:
        line = f" {outcome.case.region}, {outcome.case.title}: expected {told} [{outcome.id}]"
        console.print(Text.assemble(_mark(False, yes, no), line), soft_wrap=True)
    return not wrong and all(fact.is_so for fact in facts)


def all_differences(outcome: Outcome) -> list[str]:
    """Tell where an outcome is not what it must be, with what CustomerGauge has."""
    told = outcome.differences()
    return told if outcome.has == outcome.case.has else [*told, f"{outcome.case.has} there, not {outcome.has}"]


def _console() -> Console:
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    return Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)


def _mark(is_so: bool, yes: str, no: str) -> tuple[str, str]:  # noqa: FBT001 - private
    return (yes, "green") if is_so else (no, "bold red")


def _table(outcomes: Sequence[Outcome], yes: str, no: str, *, with_kind: bool) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("", no_wrap=True)
    table.add_column("job", overflow="fold")
    for heading in ("kind", "in", "state", "verdicts"):
        if heading != "kind" or with_kind:
            table.add_column(heading, no_wrap=True)
    table.add_column("tries", justify="right", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    table.add_column("CustomerGauge\nhas", overflow="fold")
    for outcome in outcomes:
        mark = Text(*_mark(not all_differences(outcome), yes, no))
        table.add_row(mark, *_cells(outcome, with_kind=with_kind))
    return table


def _cells(outcome: Outcome, *, with_kind: bool) -> list[Text]:
    case, state = outcome.case, outcome.state
    return [
        Text(case.title),
        *([Text(case.kind, style="dim")] if with_kind else []),
        Text(case.region),
        Text(state, style=_COLOURS.get(state, "")),
        Text(_verdicts(outcome)),
        Text(str(outcome.tries or "-")),
        Text(_time(outcome)),
        Text(outcome.has, style="dim" if outcome.has == "nothing" else ""),
    ]


def _verdicts(outcome: Outcome) -> str:
    """Write its attempts' verdicts; without an attempt, why it waits."""
    told = ",\n".join(outcome.verdicts)
    return told or (f"({outcome.reason})" if outcome.reason else "-")


def _time(outcome: Outcome) -> str:
    """Write how long it took, or after how long it will be tried again."""
    if outcome.took is not None:
        return f"{outcome.took:.1f}s"
    if outcome.waits is None:
        return "-"
    minutes, seconds = divmod(round(outcome.waits), 60)
    return f"+{minutes}m{seconds:02}s"


def close(outcomes: Sequence[Outcome], requests: int, seconds: float, *, as_it_must_be: bool) -> None:
    """Print the closing line."""
    console = _console()
    told = f"{len(outcomes)} jobs ({count_states(outcomes)}), {requests} requests, {seconds:.0f} s. "
    verdict = "All is as policy.md says." if as_it_must_be else "Not all is as policy.md says: see above."
    console.print(Text.assemble("\n", told, (verdict, "bold green" if as_it_must_be else "bold red")), soft_wrap=True)


def how_to_look(stage: Stage) -> None:
    """Print where to look while it is left running."""
    console = _console()
    lines = {
        "Flower": f"{stage.flower_url}/tasks",
        "simulator": f"{stage.control.url}/",
        "logs": f"{stage.folder}",
        # Not `gaugepost`: who came by `make demo` does not have it on the PATH.
        "command line": f". {quote(str(stage.settings_file))} && {quote(sys.executable)} -m gaugepost_ops jobs",
    }
    console.print("\nIt is left running; Ctrl-C ends it.", markup=False)
    for name, value in lines.items():
        console.print(f"  {name:13} {value}", soft_wrap=True, markup=False)


def hint(*, kept: bool) -> None:
    """Print that all is over and, if it was not kept, how to keep it: by the command that it was started with."""
    again = "make demo DEMO=--keep" if "MAKELEVEL" in os.environ else "gaugepost demo --keep"
    console = _console()
    console.print("All parts have ended.", end="\n" if kept else " ", markup=False)
    if not kept:
        console.print(f"To look around in Flower: {again}", markup=False)
