"""What became of a job, for the service that waits for it: its result, or an error that says why there is none."""

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

_FIRST_LOOK_S, _LAST_LOOK_S = 0.01, 0.25


class Gives(Protocol[R_co]):
    """A job whose result is an R: what ties `enqueue(PersonalLink(…))` to `PersonalLinkResult`."""

    def read_result(self, data: dict[str, Any]) -> R_co:
        """Read the result as the ledger keeps it."""
        ...


def read_result(view: JobView) -> Any:  # noqa: ANN401 - one type a kind; Receipt gives it its name
    """Return the result of a delivered job; None for one that has not ended. Raises for any other end."""
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
    """Return the result of a job that was answered with nothing. Raises ResultLost where only a person knows of it."""
    try:
        return JOBS[view.kind].read_result({})
    except ValidationError:
        why = "a person settled it as delivered; CustomerGauge's answer to it was lost"
        raise ResultLost(f"job {view.id} has no result: {why}") from None


class Patience:
    """How long to wait for a job, and the pauses between two looks at it."""

    def __init__(self, timeout: float | None) -> None:
        self._ends = None if timeout is None else time.monotonic() + timeout
        self._pause = _FIRST_LOOK_S

    def pause(self, view: JobView) -> float:
        """Return how long to pause, longer each time. Raises ResultTimeout if the time is over."""
        if self._ends is not None and time.monotonic() >= self._ends:
            why = f" ({view.reason})" if view.reason else ""
            raise ResultTimeout(f"job {view.id} is still {view.state}{why}; it goes on")
        pause, self._pause = self._pause, min(self._pause * 1.5, _LAST_LOOK_S)
        return pause
