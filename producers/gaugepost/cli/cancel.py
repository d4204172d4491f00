"""`gaugepost cancel`: stop jobs before they are sent."""

from __future__ import annotations

import getpass
import sys
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from gaugepost.cli.common import AsJson, Cells, Exit, open_producer, printable, write_row
from gaugepost.states import JobState

if TYPE_CHECKING:
    from collections.abc import Sequence

_BATCH = 200
Outcome = tuple[JobState | None, bool]
"""A job's state afterwards (None: no region knows it), and whether this call cancelled it."""


def cancel(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Jobs to cancel.")],
    *,
    as_json: AsJson = False,
) -> int:
    """Cancel jobs that have not been sent; one line each.

    Ends with 1 if one was too late, or is not known. A job that was cancelled before is fine.

    Example: `gaugepost cancel 0f8fad5bd9cb469fa16570867728950e`
    """
    left = iter(dict.fromkeys(ids))
    done = True
    with open_producer() as producer:
        cells = Cells(producer)
        while batch := list(islice(left, _BATCH)):
            outcomes = _cancel(cells, batch)
            for job_id in batch:
                done &= _tell(job_id, outcomes[job_id], as_json=as_json)
            sys.stdout.flush()
        cells.check()
    return Exit.DONE if done else Exit.FAILED


def _cancel(cells: Cells, ids: Sequence[str]) -> dict[str, Outcome]:
    """Cancel in whichever region knows the job."""
    outcomes: dict[str, Outcome] = dict.fromkeys(ids, (None, False))
    for ledger in cells.ledgers():
        missing = [job_id for job_id, (state, _) in outcomes.items() if state is None]
        if not missing:
            break
        with cells.asking(ledger.region):
            outcomes |= zip(missing, ledger.cancel(missing, by=_who()), strict=True)
    return outcomes


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return "command line"


def _tell(job_id: str, outcome: Outcome, *, as_json: bool) -> bool:
    state, by_us = outcome
    if as_json:
        write_row({"id": job_id, "state": state and str(state), "cancelled": by_us})
    else:
        sys.stdout.write(f"{printable(job_id)}  {_in_words(state, by_us=by_us)}\n")
    return by_us or state is JobState.CANCELLED


def _in_words(state: JobState | None, *, by_us: bool) -> str:
    if state is None:
        return "no such job"
    if by_us:
        return "cancelled"
    return "was cancelled before" if state is JobState.CANCELLED else f"too late: it is {state}"
