"""`gaugepost operations`: list, show, pause, resume and abort the operations that workers carry out."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from gaugepost.ledger.operations import Operation, OperationState
from gaugepost.regions import Region  # noqa: TC001 - typer reads it at run time
from gaugepost_ops.cli.audited import audited_producer, name_conditions
from gaugepost_ops.cli.common import (
    AsJson,
    Exit,
    Failure,
    RegionLedgers,
    console,
    note,
    open_producer,
    write_row,
)
from gaugepost_ops.cli.missing_workers import MissingWorkers
from gaugepost_ops.cli.output.formatting import clock, printable
from gaugepost_ops.cli.output.text_layout import print_hanging

if TYPE_CHECKING:
    from collections.abc import Callable

    from gaugepost.client import Producer
    from gaugepost.ledger import Ledger
    from gaugepost_ops.cli.audited import Recording

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")
Id = Annotated[str, typer.Argument(metavar="ID", help="The id of the operation (op-…).")]

_INDENT = 4
_STYLES = {OperationState.PAUSED: "yellow", OperationState.ABORTED: "red"}


@app.callback(invoke_without_command=True)
def operations(
    context: typer.Context,
    region: Annotated[Region | None, typer.Option(help="Only this region's.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """List the newest 100 operations of each region, the newest first: bulk actions that workers carry out.

    Each has its state, how many of its jobs are done or skipped, its filter, and who started it and why. Rows are kept
    for 100 days.

    Example: `gaugepost operations --region eu`
    """
    if context.invoked_subcommand is not None:
        if region is not None or as_json:
            raise Failure(Exit.USAGE, f"give options after {context.invoked_subcommand}, not before it")
        return
    found, missing_workers = 0, MissingWorkers()
    with open_producer() as producer:
        regions = RegionLedgers(producer, region)
        for ledger in regions.ledgers():
            with regions.skip_unreachable(ledger.region):
                rows = ledger.operations.list()
                _add_missing(missing_workers, ledger, rows)
                found += len(rows)
                for one in rows:
                    _write(one, as_json=as_json)
        sys.stdout.flush()
        regions.require_all_reached()
    if not found and not as_json:
        note("no operations")
    missing_workers.note()


@app.command("show")
def show(operation_id: Id, *, as_json: AsJson = False) -> None:
    """Show one operation. Exit code 1: no region has it.

    Example: `gaugepost operations show op-0f8fad5bd9cb`
    """
    missing_workers = MissingWorkers()
    with open_producer() as producer:
        ledger, found = _find(producer, operation_id)
        _add_missing(missing_workers, ledger, [found])
        _write(found, as_json=as_json)
        sys.stdout.flush()
    missing_workers.note()


@app.command("pause")
def pause(operation_id: Id, *, as_json: AsJson = False) -> int:
    """Pause an operation: workers change no more of its jobs until it is resumed. Exit code 1: it has ended.

    Example: `gaugepost operations pause op-0f8fad5bd9cb`
    """
    with audited_producer("operations pause", target=operation_id) as (producer, audit):
        return _control(producer, audit, operation_id, OperationState.PAUSED, as_json=as_json)


@app.command("resume")
def resume(operation_id: Id, *, as_json: AsJson = False) -> int:
    """Let a paused operation go on. Exit code 1: it has ended.

    Example: `gaugepost operations resume op-0f8fad5bd9cb`
    """
    with audited_producer("operations resume", target=operation_id) as (producer, audit):
        return _control(producer, audit, operation_id, OperationState.RUNNING, as_json=as_json)


@app.command("abort")
def abort(operation_id: Id, *, as_json: AsJson = False) -> int:
    """End an operation for good. The jobs that it has not changed stay as they are. Exit code 1: it has ended before.

    Example: `gaugepost operations abort op-0f8fad5bd9cb`
    """
    with audited_producer("operations abort", target=operation_id) as (producer, audit):
        return _control(producer, audit, operation_id, OperationState.ABORTED, as_json=as_json)


def _find(producer: Producer, operation_id: str) -> tuple[Ledger, Operation]:
    """Return the operation and the ledger of its region. Raises Failure if no region has it."""
    regions = RegionLedgers(producer)
    for ledger in regions.ledgers():
        with regions.skip_unreachable(ledger.region):
            if (found := ledger.operations.show(operation_id)) is not None:
                return ledger, found
    regions.require_all_reached()
    raise Failure(Exit.FAILED, f"{operation_id}: no such operation", "`gaugepost operations` lists those of 100 days")


def _control(producer: Producer, audit: Recording, operation_id: str, to: OperationState, *, as_json: bool) -> Exit:
    ledger, before = _find(producer, operation_id)
    audit.begin(ledger.region)
    calls: dict[OperationState, Callable[[str], Operation | None]] = {
        OperationState.PAUSED: ledger.operations.pause,
        OperationState.RUNNING: ledger.operations.resume,
        OperationState.ABORTED: ledger.operations.abort,
    }
    after = calls[to](operation_id) or before
    _write(after, as_json=as_json)
    sys.stdout.flush()
    if before.has_ended or after.state is not to:
        note(f"nothing was changed: it is {after.state}")
        return audit.ended(Exit.FAILED)
    audit.count(ledger.region, int(before.state is not to))
    return Exit.DONE


def _add_missing(missing_workers: MissingWorkers, ledger: Ledger, rows: list[Operation]) -> None:
    """Add the region if an operation waits for a worker of it."""
    if any(not one.has_ended for one in rows):
        missing_workers.add(ledger.region, ledger.presence().no_worker())


def _write(one: Operation, *, as_json: bool) -> None:
    """Print an operation for people, or as JSON."""
    if as_json:
        write_row(one.to_dict())
        return
    from rich.text import Text  # noqa: PLC0415 - --json does without rich

    out, state = console(), f"{one.region} {one.action} {one.state}"
    head = Text(f"{one.id}  ")
    print_hanging(out, head, f"{state}: {_progress(one)}", at=head.cell_len, style=_STYLES.get(one.state, ""))
    for line in _facts(one):
        print_hanging(out, Text(), printable(line), at=_INDENT)


def _progress(one: Operation) -> str:
    """Return how far it is: `1,204 of 2,000 done, 3 skipped`."""
    if one.is_collecting:
        return f"{one.matched:,} jobs found so far, none changed"
    skipped = one.progress - one.done
    return f"{one.done:,} of {one.matched:,} done" + (f", {skipped:,} skipped" if skipped else "")


def _facts(one: Operation) -> list[str]:
    conditions = {
        name: ",".join(value) if isinstance(value, list) else value for name, value in one.to_dict()["filter"].items()
    }
    how = name_conditions(
        **conditions, **{"as": one.to, "edited": ",".join(one.edited), "rate": one.rate, "limit": one.limit}
    )
    who = f"started by {one.by} at {clock(one.started_at)}" + (
        f", ended at {clock(one.ended_at)}" if one.ended_at else ""
    )
    return [how, who, *filter(None, [one.reason]), *(f"skipped {n:,}: {why}" for why, n in one.skipped.items())]
