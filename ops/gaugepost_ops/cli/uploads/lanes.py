"""Upload lanes as people see them: the files that wait, in order, when each will start, and those that were sent.

Everything is read as it is asked for; while a lane moves, a listing of it is a moment old.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from gaugepost.jobs.file import File, Stored
from gaugepost.ledger.holds import iso
from gaugepost.ledger.views import scopes_of_kind
from gaugepost.states import JobState
from gaugepost.uploads import was_sent
from gaugepost.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gaugepost.client import Producer
    from gaugepost.forecast import Lane
    from gaugepost.ledger import Hold, JobView, Ledger

_BATCH = 200
_SEARCHED_JOBS = {JobState.SENDING: 1_000, JobState.PARKED: 5_000, JobState.QUEUED: 400}
"""Where files that were sent are looked for, and among how many jobs (those that go next): it must stay instant."""


def lane_of(ledger: Ledger, family: str) -> str:
    """Return the lane that a family's files wait in."""
    lanes = ledger.upload_lanes()
    return lanes[0] if len(lanes) == 1 else f"files:{family}"


def stored(view: JobView) -> Stored:
    """Return what the ledger knows of a file's content."""
    return Stored.model_validate(view.job["stored"])


def part_label(of: Stored) -> str:
    """Write which part it is; nothing for a file that is whole."""
    return f"{of.part}/{of.of}" if of.of > 1 else ""


def job_row(view: JobView, dues: DueTimes, *, show_data: bool = False) -> dict[str, Any]:
    """Return a job as `--json` shows it: a file also with its set, part and forecast start."""
    row = view.to_dict(show_data=show_data)
    if view.kind != "file" or "stored" not in view.job:
        return row
    due = dues.of(view)
    content = stored(view)
    return row | {
        "family": view.job["family"],
        "set": content.set,
        "part": content.part,
        "of": content.of,
        "filename": content.name,
        "rows": content.rows,
        "bytes": content.size,
        "due": iso(due),
    }


def forecast_starts(ledger: Ledger, name: str) -> tuple[Lane, dict[str, int | None]]:
    """Return a lane and, for each file that waits in it, in order, when it will start (Unix ms)."""
    ids = list(dict.fromkeys(ledger.waiting_files(name)))
    lane = ledger.upload_lane(name)
    opens = lane.next_slot()
    taken = opens is not None and opens <= lane.now and _is_about_to_be_taken(ledger, name)
    lane = replace(lane, ahead=1 if taken else 0)
    return lane, dict(zip(ids, lane.starts(len(ids)), strict=True))


def _is_about_to_be_taken(ledger: Ledger, name: str) -> bool:
    """Tell whether a worker has claimed a file and has not sent it yet: the slot is open, and spoken for."""
    return any(not _was_sent_before(view) for view in _files(ledger, name, JobState.SENDING))


def _was_sent_before(view: JobView) -> bool:
    attempts = view.history.since_replay()
    return bool(attempts) and attempts[-1].verdict in {Verdict.DELIVERED, Verdict.LOST_ANSWER}


def _files(ledger: Ledger, name: str, state: JobState) -> Iterator[JobView]:
    """Walk the files of a lane in a state, looking at a bounded number of jobs."""
    ids = islice(ledger.ids(state), _SEARCHED_JOBS[state])
    while batch := list(islice(ids, _BATCH)):
        for view in ledger.read(batch):
            if view and view.state is state and view.kind == "file" and lane_of(ledger, view.job["family"]) == name:
                yield view


class DueTimes:
    """Forecast starts of waiting files; each lane is read once, when it is first asked for."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer
        self._lanes: dict[tuple[str, str], dict[str, int | None]] = {}

    def of(self, view: JobView) -> int | None:
        """Return when a file will start (Unix ms); None if it does not wait for a slot, or nobody can tell."""
        if view.kind != "file" or view.state is not JobState.WAITING:
            return None
        ledger = self._producer.ledger(view.region)
        name = lane_of(ledger, view.job["family"])
        if (view.region, name) not in self._lanes:
            self._lanes[view.region, name] = forecast_starts(ledger, name)[1]
        return self._lanes[view.region, name].get(view.id)


@dataclass(frozen=True, slots=True)
class WaitingFile:
    """A file that waits for its slot; `first`: it was wanted before all others."""

    view: JobView
    due: int | None
    first: bool


@dataclass(frozen=True, slots=True)
class LaneView:
    """One upload lane at one moment. `sent`: files being sent, followed, or parked on their way."""

    region: str
    name: str
    lane: Lane
    hold: Hold | None = None
    waiting: list[WaitingFile] = field(default_factory=list)
    sent: list[JobView] = field(default_factory=list)

    @property
    def title(self) -> str:
        """Return the region, and the family where each has a lane of its own."""
        return f"{self.region} {self.name.partition(':')[2]}".rstrip()

    @property
    def held_until(self) -> int | None:
        """Return when the hold ends or probes; None: nobody can tell."""
        return (self.hold.until or self.hold.probe_at) if self.hold else None

    def to_dict(self) -> dict[str, Any]:
        """Return it as `uploads --json` shows it."""
        hold = self.hold and {"reason": self.hold.reason, "by": self.hold.by, "until": iso(self.held_until)}
        return {
            "region": self.region,
            "lane": self.name,
            "interval": self.lane.interval / 1000,
            "last_start": iso(self.lane.last_start),
            "next_slot": iso(self.lane.next_slot()),
            "hold": hold,
            "waiting": [_row(one.view) | {"due": iso(one.due), "first": one.first} for one in self.waiting],
            "processing": [
                _row(view) | {"state": str(view.state), "reason": view.reason, "next_look": iso(view.until)}
                for view in self.sent
            ],
        }


def _row(view: JobView) -> dict[str, Any]:
    content = stored(view)
    return {
        "id": view.id,
        "set": content.set,
        "part": content.part,
        "of": content.of,
        "family": view.job["family"],
        "filename": content.name,
        "rows": content.rows,
        "source": view.job.get("source"),
    }


def read_lane(ledger: Ledger, name: str) -> LaneView:
    """Look at one lane."""
    lane, dues = forecast_starts(ledger, name)
    views = [view for batch in _batches(dues) for view in ledger.read(batch)]
    waiting = [view for view in views if view is not None and view.state is JobState.WAITING]
    early = set(islice(dues, ledger.upload_lane(name, first=True).ahead))
    sent = [view for state in _SEARCHED_JOBS for view in _files(ledger, name, state)]
    return LaneView(
        region=ledger.region,
        name=name,
        lane=lane,
        hold=_hold_of(ledger),
        waiting=[WaitingFile(view, dues[view.id], view.id in early) for view in waiting],
        sent=list({view.id: view for view in sent}.values()),
    )


def _batches(ids: Iterable[str]) -> Iterator[list[str]]:
    left = iter(ids)
    while batch := list(islice(left, _BATCH)):
        yield batch


def _hold_of(ledger: Ledger) -> Hold | None:
    """Return what keeps all files of a region: of several holds the one that keeps them longest."""
    found = ledger.holds()
    holds = [found[scope] for scope in scopes_of_kind(File) if scope in found]
    return max(holds, key=lambda hold: hold.until or hold.probe_at or float("inf"), default=None)


def sent_state(view: JobView) -> str:
    """Write what a file that was sent waits for: `processing: next look`."""
    if view.state is JobState.SENDING:
        return "checking" if _was_sent_before(view) else "sending"
    if view.reason == "processing" or (view.state is JobState.QUEUED and was_sent(view)):
        return "processing"
    return f"parked: {view.reason}" if view.state is JobState.PARKED else str(view.state)
