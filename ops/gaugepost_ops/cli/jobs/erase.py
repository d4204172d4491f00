"""`gaugepost erase`: remove a person."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from gaugepost.ledger.erasing import Person
from gaugepost.ledger.ledger import now_ms
from gaugepost.ledger.operations import OPERATION_PREFIX
from gaugepost_ops.cli.audited import audited_producer, name_conditions
from gaugepost_ops.cli.common import AsJson, Exit, Failure, RegionLedgers, note, write_row
from gaugepost_ops.cli.jobs.reference_options import OR_STDIN, given_value

if TYPE_CHECKING:
    from gaugepost.ledger.erasing import Receipt
    from gaugepost.regions import Region

_GONE = "its retention (GAUGEPOST_RETENTION_…) deletes it"


def erase(
    email: Annotated[str | None, typer.Option(help=f"The person's e-mail address. {OR_STDIN}", metavar="E")] = None,
    phone: Annotated[str | None, typer.Option(help=f"The person's phone number. {OR_STDIN}", metavar="P")] = None,
    reason: Annotated[str, typer.Option(help="Why, for the audit trail.", metavar="TEXT")] = "",
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> int:
    """Remove a person: cancel jobs that were not sent, and delete what all other jobs say about the person.

    These are the jobs with the address or the number as a field, an idempotency key or a label. State, verdicts and
    times stay. A job that is being sent loses its data when it has been sent. Prints a receipt for each region, and the
    file parts whose kept content has the address. Deleted data cannot be restored.

    Example: `gaugepost erase --email - --reason "request of 2026-11-28"`
    """
    person = Person(*(None if value is None else given_value(value) for value in (email, phone)))
    person.query()  # raises InvalidQuery
    by = ",".join(name for name, value in (("email", email), ("phone", phone)) if value is not None)
    with audited_producer("erase", None, name_conditions(by=by), reason) as (producer, audit):
        regions = RegionLedgers(producer, None)
        if not yes:
            _confirm(regions, person)
        for ledger in regions.ledgers():
            with regions.skip_unreachable(ledger.region):
                audit.begin(ledger.region)
                did = partial(audit.count, ledger.region)
                _print(ledger.region, ledger.erasure.erase(person, now_ms(), audit.actor, did), as_json=as_json)
        regions.require_all_reached()
        return audit.ended(Exit.DONE)


def _confirm(regions: RegionLedgers, person: Person) -> None:
    """Ask the person at the terminal. Raises Failure without a terminal, and if the answer is no."""
    if not sys.stdin.isatty():
        raise Failure(Exit.USAGE, "nothing was erased: stdin is no terminal to ask on", "in a script, add --yes")
    for ledger in regions.ledgers():
        with regions.skip_unreachable(ledger.region):
            note(f"{ledger.region}: jobs of this person: {ledger.erasure.count(person):,}")
    if not typer.confirm("Erase them? This cannot be undone.", default=False, err=True):
        raise Failure(Exit.FAILED, "nothing was erased: the answer was no")


def _print(region: Region, receipt: Receipt, *, as_json: bool) -> None:
    counts = {name: getattr(receipt, name) for name in ("jobs", "cancelled", "stripped", "sending")}
    if as_json:
        lists = {name: list(getattr(receipt, name)) for name in ("parts", "unread", "operations")}
        write_row({"region": str(region), **counts, **lists})
        return
    numbers = ", ".join(f"{number:,} {name}" for name, number in counts.items() if name != "jobs")
    sys.stdout.write(f"{region}: jobs erased: {receipt.jobs:,} ({numbers})\n")
    for part in receipt.parts:
        sys.stdout.write(f"{region}: the kept content of {part} has this person; {_GONE}\n")
    for part in receipt.unread:
        sys.stdout.write(f"{region}: {_unsearched(part)}\n")
    for operation in receipt.operations:
        sys.stdout.write(f"{region}: {operation} was aborted: its filter or its changes had this person\n")


def _unsearched(part: str) -> str:
    """Return what could not be searched, and what to do. An operation is searched with the key that encrypted it."""
    if part.startswith(OPERATION_PREFIX):
        return f"the changes of {part} could not be searched: `gaugepost operations abort {part}` deletes them"
    return f"the kept content of {part} could not be searched; {_GONE}"
