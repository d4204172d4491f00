"""`gaugepost uploads`: show the upload lanes; get the rejected rows of an upload, or undo it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from gaugepost.errors import InvalidJob
from gaugepost.files.rejected import REASON
from gaugepost.regions import Region
from gaugepost_ops.cli.audited import audited_producer
from gaugepost_ops.cli.common import AsJson, Exit, Failure, RegionLedgers, console, note, open_producer, write_rows
from gaugepost_ops.cli.uploads.lane_view import print_lane
from gaugepost_ops.cli.uploads.lanes import read_lane
from gaugepost_ops.cli.uploads.upload_undo import find_upload, undo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gaugepost_ops.cli.uploads.lanes import LaneView

app = typer.Typer(add_completion=False, rich_markup_mode="markdown")


@app.callback(invoke_without_command=True)
def uploads(
    context: typer.Context,
    region: Annotated[Region | None, typer.Option(help="Only this region's.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Show the upload lane of each region: last start, next slot, and each file with its forecast start.

    First come the sent files whose rows CustomerGauge has not processed yet, then the waiting files. --json prints one
    row for each lane.

    Example: `gaugepost uploads --region eu`
    """
    if context.invoked_subcommand is not None:
        if region is not None or as_json:
            raise Failure(Exit.USAGE, f"give options after {context.invoked_subcommand}, not before it")
        return
    with open_producer() as producer:
        regions = RegionLedgers(producer, region)
        lanes = _read(regions)
        if as_json:
            write_rows(lane.to_dict() for lane in lanes)
        else:
            _print(lanes)
        regions.require_all_reached()


app.command("undo")(undo)


def _read(regions: RegionLedgers) -> Iterator[LaneView]:
    for ledger in regions.ledgers():
        with regions.skip_unreachable(ledger.region):
            for name in ledger.upload_lanes():
                yield read_lane(ledger, name)


def _print(lanes: Iterator[LaneView]) -> None:
    out = console()
    for number, lane in enumerate(lanes):
        if number:
            out.print()
        print_lane(out, lane)
    sys.stdout.flush()


@app.command("rejects")
def rejects(
    set_id: Annotated[str, typer.Argument(metavar="SET", help="The id that upload printed.")],
    *,
    with_reasons: Annotated[
        bool, typer.Option("--with-reasons", help="Add a last column with CustomerGauge's reason for each row.")
    ] = False,
) -> None:
    """Write the rows that CustomerGauge refused, with the header, so that you can correct and upload them.

    The file has the type of the uploaded one (XLS becomes XLSX). With --with-reasons, remove the last column before you
    upload it. Exit code 1: no row was refused, or the content was deleted (GAUGEPOST_RETENTION_CONTENT).

    Example: `gaugepost uploads rejects set-0f8fad5bd9cb469fa16570867728950e > rejects.csv`
    """
    with audited_producer("uploads rejects", target=set_id) as (producer, audit):
        view = find_upload(producer, set_id)
        audit.begin(Region(view.files.region))
        try:
            found = producer.uploads.rejects(set_id, with_reasons=with_reasons)
        except InvalidJob as none:
            raise Failure(Exit.FAILED, f"{set_id}: {none}") from None
        result = view.result()
        audit.count(Region(view.files.region), len(result.rejected))
    unsure = (result.unsuccessful or 0) - len(result.rejected)
    if unsure > 0:
        note(f"{unsure:,} more rows were refused, but CustomerGauge did not say which: see `gaugepost job {set_id}`")
    if with_reasons:
        note(f"the last column, {REASON}, is not from your file: remove it before you upload the rows")
    if not view.has_ended:
        note("not all parts have ended: CustomerGauge may refuse more rows")
    if sys.stdout.isatty() and found.startswith(b"PK"):
        command = f"gaugepost uploads rejects {set_id} > rejects.xlsx"
        raise Failure(Exit.USAGE, "nothing was written: a workbook cannot be shown on a terminal", command)
    sys.stdout.buffer.write(found)
    sys.stdout.buffer.flush()
