"""Which bulk actions a list of jobs offers: those that its state allows."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gaugepost.ledger.operations import STATES, Action
from gaugepost_ops.cli.output.formatting import counted

if TYPE_CHECKING:
    from gaugepost.states import JobState
    from gaugepost_ops.web.console.job_queries import JobQuery

WORDS = {Action.REPLAY: "Send again", Action.CANCEL: "Cancel", Action.SETTLE: "Settle"}

_OF_JOBS = {
    Action.REPLAY: "send these jobs again",
    Action.CANCEL: "cancel these jobs",
    Action.SETTLE: "settle these jobs",
}


class Offer(NamedTuple):
    """An action on all jobs of a list, and the page that shows what it would change."""

    action: Action
    title: str
    path: str


def actions_on(query: JobQuery) -> list[Offer]:
    """Return the actions on all jobs of this query. An operation works in one region, so the query must name it."""
    state = query.state()
    if state is None or query.region() is None or query.value is not None:
        return []
    path = "/jobs/bulk"
    return [Offer(one, f"{WORDS[one]} all …", query.url(path, action=str(one))) for one in _fitting(state)]


def without_region(query: JobQuery) -> str:
    """Return what a person could do with all jobs of this query in one region; empty if the query names a region."""
    state = query.state()
    if state is None or query.region() is not None or query.value is not None:
        return ""
    return " or ".join(_OF_JOBS[one] for one in _fitting(state))


def bulk_title(action: Action, number: int | None) -> str:
    """Return what an action does to this number of jobs: `Send 1 job again`. None: to all that match."""
    jobs = "all jobs" if number is None else counted(number, "job")
    return f"Send {jobs} again" if action is Action.REPLAY else f"{WORDS[action]} {jobs}"


def _fitting(state: JobState) -> list[Action]:
    return [action for action in Action if state in STATES[action]]
