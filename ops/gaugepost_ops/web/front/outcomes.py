"""Wait for what CustomerGauge answers to a job, and answer with it."""

from __future__ import annotations

import asyncio
import re
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.responses import Response

from gaugepost.states import JobState
from gaugepost.verdict import Verdict
from gaugepost_ops.web.auditing import recorded
from gaugepost_ops.web.front.dialects import Laravel, json_response

if TYPE_CHECKING:
    from gaugepost.ledger import JobView
    from gaugepost.ledger.producer_calls import Accepted
    from gaugepost.transitions import Attempt
    from gaugepost_ops.web.callers import Caller
    from gaugepost_ops.web.front.routes import Route
    from gaugepost_ops.web.front.watching import Watching
    from gaugepost_ops.web.gateway import Gateway

LONGEST_WAIT_S = 60
_WAIT = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,9})\"?(?:$|[,;\s])", re.IGNORECASE)
_DEFAULT_WAIT_S = {"personal_link": 25, "close_loop": 10}
_REFUSED = frozenset(
    {
        Verdict.NO_CAMPAIGN,
        Verdict.UNKNOWN_MAPPING,
        Verdict.WRONG_MAPPING_TYPE,
        Verdict.MAPPING_DRIFT,
        Verdict.UNRECOGNISED_400,
        Verdict.UNRECOGNISED_404,
        Verdict.UNRECOGNISED_422,
    }
)
"""Refusals after which gaugepost would try again later. A caller that waits gets them now, so the job ends."""
_REASON = "the caller of the drop-in front has got CustomerGauge's refusal"
_CLIENT_ERRORS = range(400, 500)


def wait_of(route: Route, prefer: str | None) -> int:
    """Return how many seconds a call waits: `Prefer: wait=N`."""
    match = _WAIT.search(prefer or "")
    return min(int(match[1]), LONGEST_WAIT_S) if match else _DEFAULT_WAIT_S[route.call]


async def outcome(
    gateway: Gateway, watching: Watching, caller: Caller, route: Route, accepted: Accepted, seconds: int
) -> Response:
    """Answer when the job has ended or was refused, or after so many seconds."""
    until = asyncio.get_running_loop().time() + seconds
    while True:
        left = max(0.0, until - asyncio.get_running_loop().time())
        view = await watching.final(route.region, accepted.id, left, _is_final)
        if view is None:
            return later(accepted.id)
        is_own = not accepted.duplicate or caller.key_for(route.region).source == view.job.get("source")
        found = await _final(gateway, caller, view, is_own=is_own)
        if found is not None:
            await gateway.callers.again(caller)
            return found


def _is_final(view: JobView) -> bool:
    return view.has_ended or view.state is JobState.UNKNOWN or _refused(view) is not None


def _refused(view: JobView) -> Attempt | None:
    """Return the refusal of a parked job that gaugepost would send again later; None without one."""
    attempts = view.history.since_replay()
    last = attempts[-1] if attempts else None
    if view.state is not JobState.PARKED or last is None:
        return None
    return last if _is_refusal(last) else None


def _is_refusal(attempt: Attempt) -> bool:
    return attempt.verdict in _REFUSED and attempt.status in _CLIENT_ERRORS


def _ended_by(last: Attempt, state: JobState) -> bool:
    """Return whether CustomerGauge's refusal is why a job is dead, or was cancelled by `_end`."""
    return last.status in _CLIENT_ERRORS if state is JobState.DEAD else _is_refusal(last)


async def _final(gateway: Gateway, caller: Caller, view: JobView, *, is_own: bool) -> Response | None:
    """Return the answer of a job that has ended, or that ends now; None if a worker is sending it again.

    Only a job of the caller (`is_own`) ends by a refusal that gaugepost would retry.
    """
    refusal = _refused(view)
    if refusal is not None:
        has_ended = not is_own or await asyncio.to_thread(_end, gateway, caller, view)
        return _of_attempt(refusal) if has_ended else None
    attempts = view.history.since_replay()
    match view.state:
        case JobState.DELIVERED if view.result or view.kind == "close_loop":
            return json_response(HTTPStatus.OK, {"data": view.result or {}})
        case JobState.DEAD | JobState.CANCELLED if attempts and _ended_by(attempts[-1], view.state):
            return _of_attempt(attempts[-1])
        case JobState.DEAD:
            message = f"CustomerGauge did not accept it: {view.verdict}"
            return Laravel().refusal(HTTPStatus.BAD_GATEWAY, message)
        case JobState.CANCELLED | JobState.EXPIRED:
            return Laravel().refusal(HTTPStatus.CONFLICT, f"The job was not sent: it is {view.state}.")
        case _:
            return later(view.id)


def _end(gateway: Gateway, caller: Caller, view: JobView) -> bool:
    """Cancel a job whose refusal its caller gets now. Return False if a worker has it again."""
    ledger = gateway.store.blocking.ledger(view.region)
    with recorded(ledger, caller, "cancel", view.id, _REASON) as record:
        [(_, done)] = ledger.cancel([view.id], caller.name, _REASON)
        record.count = int(done)
    return done


def _of_attempt(attempt: Attempt) -> Response:
    """Answer as CustomerGauge did, as far as the ledger keeps it: it has no personal data."""
    status = attempt.status or HTTPStatus.BAD_GATEWAY
    if attempt.field_errors:
        fields = {name: list(texts) for name, texts in attempt.field_errors.items()}
        return json_response(status, {"message": attempt.message, "errors": fields})
    return json_response(status, {"message": attempt.message})


def later(job_id: str) -> Response:
    """Answer 202: the job is stored, and its end is not known here."""
    message = "The request is stored and will be delivered. Location names the job, which has the result then."
    return json_response(HTTPStatus.ACCEPTED, {"message": message}, {"Location": f"/v1/jobs/{job_id}"})
