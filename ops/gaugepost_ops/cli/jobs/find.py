"""`gaugepost find`: find jobs by any value that a person names, such as an order number or an e-mail address."""

from __future__ import annotations

from typing import Annotated

import typer

from gaugepost.regions import Region  # noqa: TC001 - typer reads it at run time
from gaugepost_ops.cli.common import AsJson, Exit, Failure, note, open_producer, served
from gaugepost_ops.cli.jobs.jobs import json_writer, line_writer, print_rows
from gaugepost_ops.cli.jobs.reference_options import OR_STDIN, given_value
from gaugepost_ops.cli.jobs.references import note_unindexed


def find(
    value: Annotated[str, typer.Argument(metavar="VALUE", help=f"What to find. {OR_STDIN}")],
    region: Annotated[Region | None, typer.Option(help="Only this region's.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most this many jobs.", metavar="N")] = 50,
    *,
    as_json: AsJson = False,
) -> int:
    """Find jobs by a value of any sort, newest first. Prints a row for each, and which sort of value matched.

    VALUE: a job's id or its first 8 digits, an idempotency key, a batch, a label, a case number, an e-mail address
    (upper and lower case are equal), a phone number (only its digits count), CustomerGauge's number from a result, a
    file name.

    Exit code 1: no job has it. Rows of --json have the keys of job --json, and `matched`.

    Example: `gaugepost find order-4711`
    """
    with open_producer() as producer:
        if region is not None:
            served(producer.settings, region)
        found = producer.find(given_value(value), region=region, limit=limit)
        writer = json_writer if as_json else line_writer
        number = print_rows(iter(found), limit, writer(producer, show_data=False))
    if found.next:
        note(f"these are the newest {limit:,} jobs; for more use --limit")
    note_unindexed(found.unindexed)
    if found.not_asked:
        raise Failure(Exit.NO_REDIS, f"not reached: {', '.join(found.not_asked)}")
    if not number:
        raise Failure(Exit.FAILED, "no job has this value", "`gaugepost jobs` lists all jobs by state, kind and more")
    return Exit.DONE
