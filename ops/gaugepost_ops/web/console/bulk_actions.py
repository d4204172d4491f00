"""Which bulk actions a list of jobs offers: those that its state allows."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gaugepost.ledger.operations import STATES, Action
from gaugepost_ops.cli.output.formatting import counted

if TYPE_CHECKING:
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
    if query.region() is None:
        return []
    path = "/jobs/bulk"
    return [Offer(one, f"{WORDS[one]} all …", query.url(path, action=str(one))) for one in _fitting(query)]


def without_region(query: JobQuery) -> str:
    """Return what a person could do with all jobs of this query in one region; empty if the query names a region."""
    return "" if query.region() is not None else " or ".join(_OF_JOBS[one] for one in _fitting(query))


def bulk_title(action: Action, number: int | None) -> str:
    """Return what an action does to this number of jobs: `Send 1 job again`. None: to all that match."""
    jobs = "all jobs" if number is None else counted(number, "job")
    return f"Send {jobs} again" if action is Action.REPLAY else f"{WORDS[action]} {jobs}"


def _fitting(query: JobQuery) -> list[Action]:
    state = query.state()
    return [] if state is None or query.value is not None else [one for one in Action if state in STATES[one]]
