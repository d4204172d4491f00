"""The outcome of a scenario's job, and how it differs from the expected one."""

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
    from gaugepost_ops.demo.scenarios import Scenario

_JITTER = 0.2
_SLACK_S = 3.0
_NOUNS = {"record": "record", "personal_link": "link", "response": "response", "file_delete": "deletion"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one scenario.

    All times are in seconds. `waits`: from the last attempt to the next. `pause`: from the first attempt to the last.
    `took`: from the enqueue to the end. None: does not apply. `has`: what CustomerGauge has; filled in at the end.
    """

    scenario: Scenario
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
        """Return whether the job stays as it is unless a person acts."""
        return self.state in ENDED | {JobState.UNKNOWN, "refused"}

    def holding(self, effects: Sequence[dict[str, Any]]) -> Outcome:
        """Return a copy with `has` set from the simulator's effects."""
        return replace(self, has=effects_text([effect for effect in effects if effect["idempotency_key"] == self.id]))

    def differences(self) -> list[str]:
        """Return the differences from the scenario, except for `has`."""
        return list(_differences(self.scenario, self))


def of_view(scenario: Scenario, view: JobView) -> Outcome:
    """Return the outcome of a job as it is in the ledger."""
    attempts = view.history.attempts()
    last = attempts[-1].at + attempts[-1].ms if attempts else None
    return Outcome(
        scenario=scenario,
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


def of_refusal(scenario: Scenario, refusal: InvalidJob) -> Outcome:
    """Return the outcome of a job that `enqueue` refused; the wrong fields take the place of verdicts."""
    return Outcome(scenario, "", "refused", tuple(problem.field for problem in refusal.problems))


def _verdicts(attempts: Iterable[Attempt]) -> Iterator[str]:
    """Yield the verdict of each attempt; of consecutive `unreachable` ones only the first, as their number varies."""
    last = ""
    for attempt in attempts:
        if not last == attempt.verdict == "unreachable":
            yield str(attempt.verdict)
        last = str(attempt.verdict)


def effects_text(effects: Sequence[dict[str, Any]]) -> str:
    """Return the effects of one job in words: `1 record`, `closed`, `1 file, 3 rows`."""
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


def _differences(scenario: Scenario, found: Outcome) -> Iterator[str]:
    if found.state != scenario.state:
        yield f"state {scenario.state}, not {found.state}" + (f" ({found.reason})" if found.reason else "")
    if found.verdicts != scenario.verdicts:
        yield f"verdicts {_list(scenario.verdicts)}, not {_list(found.verdicts)}"
    if scenario.reason is not None and found.reason != scenario.reason:
        yield f"reason {scenario.reason}, not {found.reason}"
    if scenario.wait is not None and not _is_about(found.waits, scenario.wait):
        yield f"a wait of {scenario.wait:.0f} s, not {found.waits}"
    if found.pause < scenario.pause:
        yield f"{scenario.pause} s or more between its attempts, not {found.pause}"
    if scenario.deliver_in is not None and found.verdicts and (found.took or 0) < scenario.deliver_in:
        yield f"delivered after {scenario.deliver_in} s or more, not {found.took}"
    if scenario.warning is not None and not any(scenario.warning in warning for warning in found.warnings):
        yield f"a warning about {scenario.warning}, not {_list(found.warnings)}"


def _is_about(found: float | None, wait: float) -> bool:
    spread = wait * _JITTER + _SLACK_S
    return found is not None and abs(found - wait) <= spread


def _list(words: Iterable[str]) -> str:
    return ", ".join(words) or "none"


def count_states(outcomes: Iterable[Outcome]) -> str:
    """Return the number of outcomes by state, the most frequent first: `20 delivered, 8 parked`."""
    counts = Counter(outcome.state for outcome in outcomes)
    return ", ".join(f"{number} {state}" for state, number in counts.most_common())
