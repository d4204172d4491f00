"""`gaugepost job`: everything about one job."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gaugepost.cli.common import AsJson, Cells, Exit, Failure, clock_of, console, open_producer, printable, write_row

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gaugepost.ledger import JobView

STYLES = {
    "delivered": "green",
    "dead": "red",
    "unknown": "magenta",
    "parked": "yellow",
    "sending": "cyan",
    "cancelled": "dim",
    "expired": "dim",
}
"""Colour of each state; the others have none."""


def job(
    job_id: Annotated[str, typer.Argument(metavar="ID", help="The id that enqueue printed.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Show a job: its state, why it waits and until when, each attempt and its verdict, the result.

    The data to be delivered is not shown. Times are local; --json gives them with their offset.

    Example: `gaugepost job 0f8fad5bd9cb469fa16570867728950e --json`
    """
    with open_producer() as producer:
        view = _find(Cells(producer), job_id)
    if as_json:
        write_row(view.to_dict())
    else:
        _print(view.to_dict())


def _find(cells: Cells, job_id: str) -> JobView:
    for ledger in cells.ledgers():
        with cells.asking(ledger.region):
            view = ledger.read([job_id])[0]
            if view is not None:
                return view
    cells.check()
    raise Failure(Exit.FAILED, f"no job {job_id}")


def _print(row: Mapping[str, Any]) -> None:
    """Print facts and timeline. No frame and no folding of facts: a survey link is there to be copied."""
    from rich.table import Table  # noqa: PLC0415 - --json does without rich
    from rich.text import Text  # noqa: PLC0415

    out = console()
    out.print(f"{row['kind']} in {row['region']}", style="bold")
    for name, value in _facts(row):
        style = STYLES.get(row["state"], "") if name == "state" else ""
        out.print(Text.assemble((f"  {name:20}", "dim"), "  ", (printable(value), style)), soft_wrap=True)
    events = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    events.add_column(no_wrap=True, style="dim")
    events.add_column(no_wrap=True)
    events.add_column(overflow="fold")
    for entry in row["timeline"]:
        events.add_row(f"  {clock_of(entry['at'])}", entry["event"], _details(entry))
    out.print()
    out.print(events)


def _facts(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "id", row["id"]
    yield "state", why(row["state"], row["reason"], row["verdict"], clock_of(row["until"]))
    for name in ("configuration", "source", "idempotency_key"):
        if row[name]:
            yield name.replace("_", " "), row[name]
    if row["labels"]:
        yield "labels", ", ".join(row["labels"])
    for name, value in (row["result"] or {}).items():
        yield name.replace("_", " "), value if isinstance(value, str) else json.dumps(value)
    for warning in row["warnings"]:
        yield "warning", warning


def why(state: str, reason: str | None, verdict: str | None, until: str) -> str:
    """Write a state with what it needs to be understood: `parked: server_error until 14:05:00`, `dead: no_campaign`."""
    cause = reason or (verdict if state == "dead" else None)
    return state + (f": {cause}" if cause else "") + (f" until {until}" if until else "")


def _details(entry: Mapping[str, Any]) -> str:
    """Write what belongs to an event; an attempt's field errors each on a line."""
    if entry["event"] != "attempt":
        return printable(", ".join(str(entry[name]) for name in ("by", "why", "reason") if entry.get(name)))
    status = f"HTTP {entry['status']}" if entry.get("status") else "no answer"
    lines = [f"{entry['n']}: {entry['verdict']}, {status}, {entry['ms']} ms", entry.get("message", "")]
    lines += [f"{name}: {' '.join(texts)}" for name, texts in entry.get("field_errors", {}).items()]
    return "\n".join(printable(line) for line in lines if line)
