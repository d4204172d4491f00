"""`JobFilter`: the conditions by which operators select jobs, evaluated by workers and by the command line."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from gaugepost.ledger.holds import iso
from gaugepost.states import JobState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gaugepost.ledger.views import JobView


@dataclass(frozen=True, slots=True)
class JobFilter:
    """The conditions that a job must meet. None or an empty tuple: any value matches.

    `verdict`: the last one of the job. `configuration`: the reference of its mapping. `fields`: the job's last answer
    has an error for each of them. `since` and `until`, Unix ms: when an ended job ended, and others were enqueued.
    `references`: sorts, each with the keyed hashes of a value, which `references.hash_values` returns; with them, times
    are those of the enqueue, and `matches` does not compare them: the index of `find` has the jobs.
    """

    state: JobState | None = None
    kind: str | None = None
    verdict: str | None = None
    configuration: str | None = None
    source: str | None = None
    fields: tuple[str, ...] = ()
    since: int | None = None
    until: int | None = None
    references: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def matches(self, view: JobView) -> bool:
        """Return whether a job meets all conditions."""
        return (
            (self.state is None or view.state is self.state)
            and (self.kind is None or view.kind == self.kind)
            and (self.source is None or view.job.get("source") == self.source)
            and (self.configuration is None or view.job.get("configuration") == self.configuration)
            and (self.verdict is None or view.last_verdict == self.verdict)
            and (not self.fields or set(self.fields) <= set(faulty_fields(view)))
            and self._matches_time(view)
        )

    def _matches_time(self, view: JobView) -> bool:
        at = view.enqueued_at if view.ended_at is None or self.references else view.ended_at
        return (self.since is None or at >= self.since) and (self.until is None or at <= self.until)

    def to_dict(self) -> dict[str, Any]:
        """Return the conditions that are set. Times are texts in ISO 8601."""
        times = {"since": iso(self.since), "until": iso(self.until)}
        return {name: value for name, value in (asdict(self) | times).items() if value}

    @classmethod
    def from_dict(cls, conditions: Mapping[str, Any]) -> Self:
        """Parse what `to_dict` returned. Raises ValueError or TypeError for a condition of a newer version."""
        found = dict(conditions)
        state, fields = found.pop("state", None), tuple(found.pop("fields", ()))
        references = tuple((sort, tuple(hashes)) for sort, hashes in found.pop("references", ()))
        since, until = (_ms(found.pop(name, None)) for name in ("since", "until"))
        of_state = JobState(state) if state else None
        return cls(state=of_state, fields=fields, since=since, until=until, references=references, **found)


def _ms(text: str | None) -> int | None:
    """Parse a time in ISO 8601 into Unix ms."""
    return None if text is None else round(datetime.fromisoformat(text).timestamp() * 1000)


def faulty_fields(view: JobView) -> tuple[str, ...]:
    """Return the names of the fields that the last answer has errors for."""
    attempts = view.history.attempts()
    return tuple(sorted(attempts[-1].field_errors)) if attempts else ()
