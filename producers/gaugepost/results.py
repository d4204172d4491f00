"""Wait for a job, and turn its end into a result or an error."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pydantic import ValidationError

from gaugepost.errors import DataSealed, JobCancelled, JobDead, JobExpired, ResultLost, ResultTimeout
from gaugepost.jobs import JOBS
from gaugepost.states import JobState

if TYPE_CHECKING:
    from pydantic import BaseModel

    from gaugepost.ledger import JobView

R_co = TypeVar("R_co", covariant=True)

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.01, 0.25


class HasResult(Protocol[R_co]):
    """A job with results of type R: type checkers infer `Receipt[PersonalLinkResult]` for a PersonalLink."""

    def read_result(self, data: dict[str, Any]) -> R_co:
        """Parse the result that the ledger stored."""
        ...


def read_result(view: JobView) -> Any:  # noqa: ANN401 - each kind has its own type; Receipt[R] names it
    """Return the result of a delivered job, or None for a job that has not ended.

    Raises DataSealed, JobDead, JobCancelled, JobExpired, ResultLost.
    """
    match view.state:
        case JobState.DELIVERED if view.sealed and view.result is None:
            raise DataSealed(view.sealed)
        case JobState.DELIVERED:
            return JOBS[view.kind].read_result(view.result) if view.result else _empty_result(view)
        case JobState.DEAD:
            attempts = view.history.attempts()
            message, errors = (attempts[-1].message, attempts[-1].field_errors) if attempts else ("", {})
            raise JobDead(view.id, view.verdict or "", message, errors)
        case JobState.CANCELLED:
            raise JobCancelled(f"job {view.id} was cancelled")
        case JobState.EXPIRED:
            raise JobExpired(f"job {view.id} expired before it was sent")
        case _:
            return None


def _empty_result(view: JobView) -> BaseModel:
    """Return the result of a job with an empty answer. Raises ResultLost if its kind has no such result."""
    try:
        return JOBS[view.kind].read_result({})
    except ValidationError:
        why = "CustomerGauge's answer was lost, and a person settled the job as delivered"
        raise ResultLost(f"job {view.id} has no result: {why}") from None


class Polling:
    """The pauses between two reads of a job, up to `timeout` seconds in all (None: for ever)."""

    def __init__(self, timeout: float | None) -> None:
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._pause = _FIRST_PAUSE_S

    def pause(self, view: JobView) -> float:
        """Return the next pause in seconds; each is longer than the one before. Raises ResultTimeout."""
        if self._deadline is not None and time.monotonic() >= self._deadline:
            why = f" ({view.reason})" if view.reason else ""
            raise ResultTimeout(f"job {view.id} is still {view.state}{why}; delivery continues")
        pause, self._pause = self._pause, min(self._pause * 1.5, _LONGEST_PAUSE_S)
        return pause
