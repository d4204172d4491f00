"""Which bulk actions a list of jobs offers: those that its state allows."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gaugepost.ledger.operations import STATES, Action

if TYPE_CHECKING:
    from gaugepost_ops.web.console.job_queries import JobQuery

WORDS = {Action.REPLAY: "Send again", Action.CANCEL: "Cancel", Action.SETTLE: "Settle"}


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
    fitting = [action for action in Action if state in STATES[action]]
    return [Offer(one, f"{WORDS[one]} all …", query.url("/jobs/bulk", action=str(one))) for one in fitting]
