"""Read what the page of one job shows beside the job: its neighbours in the lane, operations, audit entries."""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from gaugepost.errors import StoreUnreachable
from gaugepost_ops.cli.operations.audit import AuditFilter
from gaugepost_ops.cli.uploads.lanes import DueTimes, stored
from gaugepost_ops.web.problems import Refused

if TYPE_CHECKING:
    from gaugepost.client import Producer
    from gaugepost.ledger import JobView
    from gaugepost.ledger.audit import AuditEntry
    from gaugepost_ops.web.actors import Actor

_ID = re.compile("[0-9a-f]{32}")
NO_JOB = "there is no such job: it may have been deleted after its retention"
_AUDITED = 1_000
"""How many of the newest entries of the trail are searched."""
_MASK = "•••"


@dataclass(frozen=True)
class JobFacts:
    """One job and what belongs to it. `due`: the forecast start of a file that waits. `before`, `after`: its lane."""

    view: JobView
    due: int | None
    before: list[JobView]
    after: list[JobView]
    audited: list[AuditEntry]

    @property
    def operations(self) -> list[str]:
        """The ids of the operations that changed it, the newest first."""
        found = (entry["operation"] for entry in reversed(self.view.history.entries) if "operation" in entry)
        return list(dict.fromkeys(found))

    @property
    def upload(self) -> str | None:
        """The id of the upload that the job is a part of."""
        return stored(self.view).set if "stored" in self.view.job else None

    @property
    def version(self) -> str:
        """A text that changes when the job does."""
        view = self.view
        parts = (view.state, view.why_waits, view.until, view.revision, len(view.history.entries), len(self.audited))
        lane = [(one.id, str(one.state)) for one in (*self.before, *self.after)]
        return repr((*parts, self.due, lane))


def is_job_id(text: str) -> bool:
    """Return whether a text may be the id of a job."""
    return _ID.fullmatch(text) is not None


def find_job(producer: Producer, person: Actor, job_id: str) -> JobView:
    """Return a job of any region. Raises Refused (404), StoreUnreachable."""
    is_id = is_job_id(job_id)
    away = [*person.away] if is_id else []
    for region in person.regions if is_id else ():
        try:
            [view] = producer.ledger(region).read([job_id])
        except StoreUnreachable:
            away.append(region)
        else:
            if view is not None:
                return view
    if away:
        raise StoreUnreachable(f"{', '.join(away)} could not be asked: Redis cannot be reached")
    raise Refused(HTTPStatus.NOT_FOUND, NO_JOB)


def read_facts(producer: Producer, person: Actor, job_id: str) -> JobFacts:
    """Read a job and what belongs to it. Raises Refused (404), StoreUnreachable."""
    view = find_job(producer, person, job_id)
    ledger = producer.ledger(view.region)
    before, after = ledger.neighbours(view.id)
    found = {one.id: one for one in ledger.read([*before, *after]) if one is not None}
    of_job = AuditFilter(None, None, job_id)
    return JobFacts(
        view,
        DueTimes(producer).of(view),
        [found[one] for one in before if one in found],
        [found[one] for one in after if one in found],
        [entry for entry in ledger.audit.read(limit=_AUDITED) if of_job.matches(entry)][:20],
    )


def masked(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return JSON with each text and number replaced: names of fields are no data."""
    match value:
        case dict():
            return {name: masked(one) for name, one in value.items()}
        case list() | tuple():
            return [masked(one) for one in value]
        case bool() | None:
            return value
        case _:
            return _MASK
