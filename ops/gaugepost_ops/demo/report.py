"""Print the demo's steps, a progress bar, the table of all jobs, and where to look further."""

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

from gaugepost_ops.demo import scenarios
from gaugepost_ops.demo.outcome import count_states

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from gaugepost_ops.demo.environment import Environment
    from gaugepost_ops.demo.gateway import GatewayCalls
    from gaugepost_ops.demo.outcome import Outcome

_WIDTH = 100
_WIDE = 96  # with this width there is room for the column `kind`
_COLOURS = {"delivered": "green", "parked": "yellow", "waiting": "yellow", "dead": "red", "unknown": "magenta"}


@dataclass(frozen=True, slots=True)
class Fact:
    """A statement about the whole demo, and whether it is true. It must be."""

    text: str
    is_so: bool


class Reporter:
    """Prints steps and progress to stderr; results go to stdout."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._err = Console(stderr=True, highlight=False)
        self._bar: Progress | None = None

    @contextmanager
    def bar(self) -> Iterator[None]:
        """Show a bar while the block runs, if stderr is a terminal."""
        if not self._err.is_terminal:
            yield
            return
        columns = SpinnerColumn(), TextColumn("jobs done"), BarColumn(), MofNCompleteColumn()
        with Progress(*columns, console=self._err, transient=True, redirect_stdout=False) as self._bar:
            self._bar.add_task("", total=self._total)
            yield
        self._bar = None

    def step(self, text: str) -> None:
        """Print what happens next."""
        self._err.print(f"· {text}", soft_wrap=True, markup=False)

    def progress(self, done: int) -> None:
        """Show on the bar how many jobs have their outcome."""
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done)


def show(outcomes: Sequence[Outcome], facts: Sequence[Fact]) -> bool:
    """Print the table, the facts and all differences. Return whether everything is as expected."""
    console = _console()
    yes, no = ("✓", "✗") if not console.options.ascii_only else ("ok", "NO")
    wrong = [(outcome, difference) for outcome in outcomes for difference in all_differences(outcome)]
    console.print(_table(outcomes, yes, no, with_kind=console.width >= _WIDE))
    for fact in facts:
        console.print(Text.assemble(_mark(fact.is_so, yes, no), " ", fact.text), soft_wrap=True)
    for outcome, difference in wrong:
        line = f" {outcome.scenario.region}, {outcome.scenario.title}: expected {difference} [{outcome.id}]"
        console.print(Text.assemble(_mark(False, yes, no), line), soft_wrap=True)
    return not wrong and all(fact.is_so for fact in facts)


def all_differences(outcome: Outcome) -> list[str]:
    """Return the differences of an outcome from its scenario, also in what CustomerGauge has."""
    differences = outcome.differences()
    if outcome.has != outcome.scenario.has:
        differences.append(f"{outcome.scenario.has} there, not {outcome.has}")
    return differences


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
    scenario, state = outcome.scenario, outcome.state
    return [
        Text(scenario.title),
        *([Text(scenario.kind, style="dim")] if with_kind else []),
        Text(scenario.region),
        Text(state, style=_COLOURS.get(state, "")),
        Text(_verdicts(outcome)),
        Text(str(outcome.tries or "-")),
        Text(_time(outcome)),
        Text(outcome.has, style="dim" if outcome.has == "nothing" else ""),
    ]


def _verdicts(outcome: Outcome) -> str:
    """Return the verdicts of the attempts; without an attempt, the reason for which the job waits."""
    verdicts = ",\n".join(outcome.verdicts)
    return verdicts or (f"({outcome.reason})" if outcome.reason else "-")


def _time(outcome: Outcome) -> str:
    """Return how long the job took, or when its next attempt is: `0.4s`, `+5m02s`."""
    if outcome.took is not None:
        return f"{outcome.took:.1f}s"
    if outcome.waits is None:
        return "-"
    minutes, seconds = divmod(round(outcome.waits), 60)
    return f"+{minutes}m{seconds:02}s"


def close(outcomes: Sequence[Outcome], requests: int, seconds: float, *, as_it_must_be: bool) -> None:
    """Print the last line: counts, duration, and whether everything is as expected."""
    console = _console()
    counts = f"{len(outcomes)} jobs ({count_states(outcomes)}), {requests} requests, {seconds:.0f} s. "
    verdict = (
        "All is as policy.md says." if as_it_must_be else "Not all is as policy.md says: see the lines marked above."
    )
    console.print(Text.assemble("\n", counts, (verdict, "bold green" if as_it_must_be else "bold red")), soft_wrap=True)


def print_addresses(environment: Environment) -> None:
    """Print the addresses of what keeps running; the console with its sign-in comes last."""
    console = _console()
    lines = {
        "Flower": f"{environment.flower_url}/tasks",
        "simulator": f"{environment.control.url}/",
        **(_gateway_lines(environment.gateway) if environment.gateway else {}),
        "logs": f"{environment.folder}",
        # Not `gaugepost`, since after `make demo` it is not on the PATH.
        "command line": f". {quote(str(environment.settings_file))} && {quote(sys.executable)} -m gaugepost_ops jobs",
    }
    console.print("\nThe demo keeps running; Ctrl-C stops it.", markup=False)
    _print_lines(console, lines)
    if environment.gateway is not None:
        console.print("\nAll jobs in the browser: the console. The link signs you in once.", markup=False)
        _print_lines(console, {"console": f"{environment.gateway.url}/", "sign in": environment.gateway.link})


def _print_lines(console: Console, lines: Mapping[str, str]) -> None:
    for name, value in lines.items():
        console.print(f"  {name:13} {value}", soft_wrap=True, markup=False)


def _gateway_lines(gateway: GatewayCalls) -> dict[str, str]:
    return {
        "gateway": f"{gateway.url}/docs",
        "its key": gateway.key,
        "a job for it": gateway.curl_line(scenarios.OVER_HTTP.job),
    }


def hint(*, kept: bool) -> None:
    """Print that all processes have ended and, unless `kept`, the command that keeps them running."""
    again = "make demo DEMO=--keep" if "MAKELEVEL" in os.environ else "gaugepost demo --keep"
    console = _console()
    console.print("All processes have ended.", end="\n" if kept else " ", markup=False)
    if not kept:
        console.print(f"To look around in the console: {again}", markup=False)
