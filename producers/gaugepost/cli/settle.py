"""`gaugepost settle`: a person has found out what became of an unknown job."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer

from gaugepost.cli.cancel import ask_all, who
from gaugepost.cli.common import (
    NO_SUCH_JOB,
    WHERE_JOBS,
    AsJson,
    Cells,
    Exit,
    note,
    open_producer,
    printable,
    write_row,
)
from gaugepost.states import JobState


class Ending(StrEnum):
    """How it may be settled."""

    DELIVERED = "delivered"
    DEAD = "dead"


def settle(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Unknown jobs.")],
    ending: Annotated[Ending, typer.Option("--as", help="What a look at CustomerGauge showed.")],
    reason: Annotated[str, typer.Option(help="Why, for the record.", metavar="WHY")] = "",
    by: Annotated[str | None, typer.Option(help="Who, for the record; else user@host.", metavar="WHO")] = None,
    *,
    as_json: AsJson = False,
) -> int:
    """Settle jobs whose answer was lost, after looking whether they arrived; one line each.

    As delivered: nothing more is sent; a result that only the lost answer had (a survey link) stays unknown, and who
    waits for it gets ResultLost. As dead: it did not arrive; `replay` sends it again. The jobs behind it in its lane
    go on either way. Ends with 1 if one was not unknown; one that has ended just so before is fine.

    Example: `gaugepost settle 0f8fad5bd9cb469fa16570867728950e --as delivered --reason "seen in the portal"`
    """
    wanted, left = JobState(ending), list(dict.fromkeys(ids))
    done, unknown = True, False
    with open_producer() as producer:
        cells = Cells(producer)
        person = by or who()
        settled = ask_all(cells, left, "settling", lambda ledger, batch: ledger.resolve(batch, wanted, person, reason))
        for job_id, (state, by_us) in settled:
            _tell(job_id, state, by_us=by_us, wanted=wanted, as_json=as_json)
            done &= state is wanted
            unknown |= state is None
        cells.check()
    if unknown:
        note(WHERE_JOBS)
    return Exit.DONE if done else Exit.FAILED


def _tell(job_id: str, state: JobState | None, *, by_us: bool, wanted: JobState, as_json: bool) -> None:
    if as_json:
        write_row({"id": job_id, "state": state and str(state), "settled": by_us})
    else:
        sys.stdout.write(f"{printable(job_id)}  {_in_words(state, by_us=by_us, wanted=wanted)}\n")


def _in_words(state: JobState | None, *, by_us: bool, wanted: JobState) -> str:
    if state is None:
        return NO_SUCH_JOB
    if by_us:
        return f"settled as {wanted}"
    return f"was {state} before" if state is wanted else f"is not unknown: it is {state}"
