"""What became of one job, and where that differs from what its case says it must come to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gaugepost.states import ENDED, JobState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from gaugepost.errors import InvalidJob
    from gaugepost.ledger import JobView
    from gaugepost.transitions import Attempt
    from gaugepost_ops.demo.scenarios import Case

_JITTER = 0.2
_SLACK_S = 3.0
_NOUNS = {"record": "record", "personal_link": "link", "response": "response", "file_delete": "deletion"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a case: `has` is filled in at the end, when CustomerGauge is asked.

    `waits` is how many seconds after its last attempt it will go on, `pause` how many lie between its first and its
    last one, `took` how many it was under way; None where that does not apply.
    """

    case: Case
    id: str
    state: str
    verdicts: tuple[str, ...]
    tries: int = 0
    reason: str | None = None
    waits: float | None = None
    pause: float = 0.0
    took: float | None = None
    warnings: tuple[str, ...] = ()
    has: str = "nothing"

    @property
    def is_final(self) -> bool:
        """Tell whether nothing more will happen to it by itself."""
        return self.state in ENDED | {JobState.UNKNOWN, "refused"}

    def holding(self, effects: Sequence[dict[str, Any]]) -> Outcome:
        """Return it with what CustomerGauge has of it."""
        return replace(self, has=told([effect for effect in effects if effect["idempotency_key"] == self.id]))

    def differences(self) -> list[str]:
        """Tell where it is not what its case says, but for what CustomerGauge has."""
        return list(_differences(self.case, self))


def of_view(case: Case, view: JobView) -> Outcome:
    """Read an outcome from a job's record."""
    attempts = view.history.attempts()
    last = attempts[-1].at + attempts[-1].ms if attempts else None
    return Outcome(
        case=case,
        id=view.id,
        state=str(view.state),
        verdicts=tuple(_verdicts(attempts)),
        tries=len(attempts),
        reason=view.reason,
        waits=(view.until - last) / 1000 if view.until is not None and last is not None else None,
        pause=(attempts[-1].at - attempts[0].at) / 1000 if attempts else 0.0,
        took=(view.ended_at - view.enqueued_at) / 1000 if view.ended_at is not None else None,
        warnings=view.warnings,
    )


def of_refusal(case: Case, refusal: InvalidJob) -> Outcome:
    """Read an outcome from a refusal at the door: its fields stand for verdicts."""
    return Outcome(case, "", "refused", tuple(problem.field for problem in refusal.problems))


def _verdicts(attempts: Iterable[Attempt]) -> Iterator[str]:
    """Give each attempt's verdict; of several in a row that found nobody, one: how many is a matter of luck."""
    last = ""
    for attempt in attempts:
        if not last == attempt.verdict == "unreachable":
            yield str(attempt.verdict)
        last = str(attempt.verdict)


def told(effects: Sequence[dict[str, Any]]) -> str:
    """Say what effects amount to: `1 record`, `closed`, `1 file, 3 rows`."""
    if not effects:
        return "nothing"
    body, number = effects[0]["body"], len(effects)
    match effects[0]["kind"]:
        case "close_loop":
            return f"{body['status']}, twice" if number > 1 else str(body["status"])
        case "file":
            return "1 file, deleted" if effects[0]["gone"] else f"{number} file, {body['rows']} rows"
        case kind:
            return f"{number} {_NOUNS[kind]}" + ("s" if number > 1 else "")


def _differences(case: Case, found: Outcome) -> Iterator[str]:
    if found.state != case.state:
        yield f"state {case.state}, not {found.state}" + (f" ({found.reason})" if found.reason else "")
    if found.verdicts != case.verdicts:
        yield f"verdicts {_list(case.verdicts)}, not {_list(found.verdicts)}"
    if case.reason is not None and found.reason != case.reason:
        yield f"reason {case.reason}, not {found.reason}"
    if case.wait is not None and not _is_about(found.waits, case.wait):
        yield f"a wait of {case.wait:.0f} s, not {found.waits}"
    if found.pause < case.pause:
        yield f"{case.pause} s or more between its attempts, not {found.pause}"
    if case.warning is not None and not any(case.warning in warning for warning in found.warnings):
        yield f"a warning about {case.warning}, not {_list(found.warnings)}"


def _is_about(found: float | None, wait: float) -> bool:
    spread = wait * _JITTER + _SLACK_S
    return found is not None and abs(found - wait) <= spread


def _list(words: Iterable[str]) -> str:
    return ", ".join(words) or "none"


def count_states(outcomes: Iterable[Outcome]) -> str:
    """Count outcomes by state, most frequent first: `20 delivered, 8 parked`."""
    counts = Counter(outcome.state for outcome in outcomes)
    return ", ".join(f"{number} {state}" for state, number in counts.most_common())
