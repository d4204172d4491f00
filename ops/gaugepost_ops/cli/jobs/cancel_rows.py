"""The row that `gaugepost cancel` prints for a job."""

from __future__ import annotations

import sys

from gaugepost.states import JobState
from gaugepost_ops.cli.common import NO_SUCH_JOB, write_row
from gaugepost_ops.cli.output.formatting import printable


def print_outcome(job_id: str, outcome: tuple[JobState | None, bool], *, as_json: bool) -> bool:
    """Print a job's state after the call, and whether this call cancelled it. Return False if it was sent."""
    state, by_this_call = outcome
    if as_json:
        write_row({"id": job_id, "state": state and str(state), "cancelled": by_this_call})
    else:
        sys.stdout.write(f"{printable(job_id)}  {_outcome_text(state, by_this_call=by_this_call)}\n")
    return by_this_call or state is JobState.CANCELLED


def _outcome_text(state: JobState | None, *, by_this_call: bool) -> str:
    if state is None:
        return NO_SUCH_JOB
    if by_this_call:
        return "cancelled"
    return "was cancelled before" if state is JobState.CANCELLED else f"not cancelled, too late: it is {state}"
