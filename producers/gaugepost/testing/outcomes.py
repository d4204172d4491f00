"""`Outcome`: the answer of CustomerGauge that a test chooses for a job, and the settlement that follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from gaugepost.jobs import JOBS
from gaugepost.ledger import Settlement
from gaugepost.transitions import Attempt, Decision, Delivered
from gaugepost.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gaugepost.jobs import JobBase
    from gaugepost.ledger import Claimed
    from gaugepost.transitions import Transition

Result = BaseModel | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """An answer of CustomerGauge, and the change of state that follows from it."""

    transition: Transition | None
    """None means delivered, with `result`."""
    verdict: Verdict = Verdict.DELIVERED
    status: int | None = 200
    message: str = ""
    field_errors: Mapping[str, Sequence[str]] = field(default_factory=dict)
    result: Result | None = None
    warnings: tuple[str, ...] = ()

    def check(self, kind: type[JobBase]) -> None:
        """Raise TypeError or ValidationError if `result` is not one of this kind of job."""
        if self.result is None:
            return
        read = kind.read_result(_data(self.result))
        if isinstance(self.result, BaseModel) and type(self.result) is not type(read):
            raise TypeError(f"expected a {type(read).__name__}, not a {type(self.result).__name__}")

    def settlement(self, claimed: Claimed, now: float) -> Settlement:
        """Return the settlement of a claimed job. `now`: Unix seconds."""
        n, at = claimed.history.last_n + 1, int(now * 1000)
        attempt = Attempt(n, at, 0, self.status, self.verdict, self.message, field_errors=self.field_errors)
        happened_at = getattr(claimed.job, "happened_at", None)
        transition = self.transition or Delivered(self._result(claimed), self.warnings, happened_at)
        return Settlement(claimed, Decision(transition), (attempt,))

    def _result(self, claimed: Claimed) -> dict[str, Any]:
        """Return the result in the ledger's form."""
        data = _made_up(claimed) if self.result is None else _data(self.result)
        return JOBS[claimed.job.kind].read_result(data).model_dump(mode="json")


def _data(result: Result) -> dict[str, Any]:
    return result.model_dump(mode="json") if isinstance(result, BaseModel) else dict(result)


def _made_up(claimed: Claimed) -> dict[str, Any]:
    """Return a result that CustomerGauge could have answered; each personal link is different."""
    link = f"https://survey.example/{claimed.id}"
    results: dict[str, dict[str, Any]] = {
        "personal_link": {"number_customergauge": 1, "survey_link": link, "survey_link_short": link[:32]},
        "close_loop": {"status": True, "note": True, "assignee": True},
    }
    return results.get(claimed.job.kind, {})
