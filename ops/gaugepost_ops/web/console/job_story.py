"""The story of one job: why it is where it is, in a sentence, and the states that it went through."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from gaugepost.states import TRANSITIONS, JobState
from gaugepost.verdict import Verdict
from gaugepost_ops.cli.jobs.groups import PROCESSING, SCHEDULED
from gaugepost_ops.web.console.words import in_words, why_held
from gaugepost_tasks.policy import LINK_LOST

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gaugepost.ledger import JobView

_S = JobState
_REPEATED = frozenset(
    {
        Verdict.THROTTLED,
        Verdict.SERVER_ERROR,
        Verdict.UNREACHABLE,
        Verdict.UNAUTHENTICATED,
        Verdict.REFUSED_CREDENTIALS,
        Verdict.UNKNOWN_MAPPING,
        Verdict.WRONG_MAPPING_TYPE,
        Verdict.MAPPING_DRIFT,
    }
)
"""Verdicts after which a job usually waits: a person who replays such a job finds it parked."""


_LONGEST = 200


class Sentence(NamedTuple):
    """What a person reads first. `to_do`: what helps, if anything does.

    `until`: when the job continues, Unix ms; `next`: what happens then.
    """

    text: str
    until: int | None = None
    to_do: str = ""
    next: str = "Until"


def sentence(view: JobView, due: int | None = None, held: str = "") -> Sentence:  # noqa: PLR0911 - one for each state
    """Say where a job is and why.

    `due`: the forecast start of a file that waits. `held`: the scope of its hold in words; empty for the region.
    """
    match view.state:
        case _S.QUEUED | _S.WAITING | _S.PARKED:
            return _waiting(view, due, held)
        case _S.SENDING:
            return Sentence("A worker is sending it.")
        case _S.UNKNOWN if view.reason == LINK_LOST:
            return Sentence(
                "CustomerGauge has the record, but the answer with its link was lost, and no call returns it again.",
                to_do="Settle it as delivered.",
            )
        case _S.UNKNOWN:
            return Sentence(
                "It was sent, and the answer was lost. Sent again, it could arrive twice.",
                to_do="Show its data (below), and look for it at CustomerGauge. Then settle it here.",
            )
        case _S.DELIVERED | _S.DEAD if _was_settled(view):
            if view.state is _S.DELIVERED:
                return Sentence("Its answer was lost, and a person settled it as delivered.")
            to_do = "" if view.erased_at else "Send it again."
            return Sentence("Its answer was lost, and a person settled it as not delivered.", to_do=to_do)
        case _S.DEAD:
            return Sentence(
                f"It died: {in_words(view.last_verdict) or 'no verdict'}{_last_words(view)}.",
                to_do="" if view.erased_at else "Correct the cause; then send it again.",
            )
        case _S.DELIVERED:
            number = len(view.history.attempts())
            return Sentence(f"It was delivered{f' at attempt {number}' if number > 1 else ''}.")
        case _S.CANCELLED:
            return Sentence("A person cancelled it before it was sent.")
        case _:
            return Sentence("It expired before it could be sent.")


def _was_settled(view: JobView) -> bool:
    """Return whether a person said how the last attempt ended."""
    events = [entry["event"] for entry in view.history.entries]
    return next((one for one in reversed(events) if one in {"attempt", "settled"}), "") == "settled"


def under(story: Sentence, region: str) -> Sentence:
    """Return the story of a job that would be sent by itself, but whose region is held."""
    return story._replace(text=f"{story.text} The region {region} is held: nothing is sent before its hold ends.")


def _waiting(view: JobView, due: int | None, held: str) -> Sentence:
    if view.hold is not None:
        what = held or f"the region {view.region}"
        to_do = view.to_do or f"Opened by {view.hold.by}. Lift the hold when its reason is over."
        return Sentence(f"It waits, because {what} is held: {why_held(view.hold)}.", view.until, to_do)
    if view.no_worker:
        return Sentence(f"It waits for a worker: {view.no_worker}.", to_do="Start a worker of its region.")
    return _parked(view) if view.state is _S.PARKED else _ready(view, due)


def _ready(view: JobView, due: int | None) -> Sentence:
    if view.state is _S.QUEUED:
        return Sentence("It is queued. A worker sends it in its turn.")
    if view.reason == "slot":
        return Sentence("It waits for a slot of the upload lane.", due, next="Starts")
    return Sentence("It waits for an earlier change of its case.", to_do="The earlier job is below.")


def _parked(view: JobView) -> Sentence:
    if view.late:
        return Sentence(f"It is late: {view.late}.")
    if view.reason == SCHEDULED:
        return Sentence("It is scheduled.", view.until, next="Will be sent")
    if view.reason == PROCESSING:
        return Sentence("CustomerGauge processes the file. A worker looks again.", view.until, next="Next look")
    text = f"Its last attempt failed: {in_words(view.reason)}{_last_words(view)}. A worker sends it again."
    return Sentence(text, view.until, next="Next try")


def _last_words(view: JobView) -> str:
    """Return the begin of the last message in brackets, without its full stop; empty without one."""
    attempts = view.history.attempts()
    words = attempts[-1].message.strip().rstrip(".") if attempts else ""
    return f" ({words if len(words) <= _LONGEST else words[:_LONGEST].rstrip() + ' …'})" if words else ""


def path_of(view: JobView) -> list[JobState]:
    """Return the states through which a job went, as far as its history tells, by legal changes only."""
    states = [_first(view)]
    for state in _known(view):
        states += _way(states[-1], state)
    return states


def _first(view: JobView) -> JobState:
    """Return the state in which a job began. A change of a case that does not wait now may have waited before."""
    if view.job.get("deliver_at"):
        return _S.PARKED
    waited = view.kind == "file" or (view.state is _S.WAITING and not view.history.entries)
    return _S.WAITING if waited else _S.QUEUED


def _known(view: JobView) -> Iterator[JobState]:
    """Yield the states that the history of a job shows, and its present one."""
    verdict: str | None = None
    for entry in view.history.entries:
        match entry["event"]:
            case "attempt":
                verdict = entry["verdict"]
                yield _S.SENDING
            case "replayed":
                yield from (_S.PARKED if verdict is None or verdict in _REPEATED else _S.DEAD, _S.QUEUED)
            case "settled":
                yield _S.UNKNOWN
    yield view.state


def _way(source: JobState, to: JobState) -> list[JobState]:
    """Return the states after `source` on the shortest way to `to`: none if it is there; sending again takes a wait."""
    if source is to and source is not _S.SENDING:
        return []
    ways = deque([[one] for one in sorted(TRANSITIONS[source], key=_preferred)])
    seen: set[JobState] = set()
    while ways:
        way = ways.popleft()
        if way[-1] is to:
            return way
        if way[-1] not in seen:
            seen.add(way[-1])
            ways.extend([*way, one] for one in sorted(TRANSITIONS[way[-1]], key=_preferred))
    return [to]


def _preferred(state: JobState) -> int:
    order = (_S.PARKED, _S.QUEUED, _S.SENDING)
    return order.index(state) if state in order else len(order)
