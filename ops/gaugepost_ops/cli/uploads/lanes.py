"""Read upload lanes: the files that wait, in order, with their forecast starts, and the files that were sent.

The parts of a listing are read one after another, so a lane that moves meanwhile may look inconsistent for a moment.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from gaugepost.jobs.file import File, Stored
from gaugepost.ledger.holds import iso
from gaugepost.ledger.wait_reasons import scopes_of_kind
from gaugepost.set_view import was_sent
from gaugepost.states import JobState
from gaugepost.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from gaugepost.client import Producer
    from gaugepost.forecast import Lane
    from gaugepost.ledger import Hold, JobView, Ledger

_BATCH = 50
"""Jobs in one call: with 1,000 holds, a call for 200 takes Redis more than 10 ms."""
_MOST_SENDING = 1_000
_SENT = (JobState.SENDING, JobState.PARKED, JobState.QUEUED)
"""The states of files that have left their lane and have not ended."""


_NOT_READ = Stored(sha256="", size=1, rows=0, name="(cannot be read)")


def lane_of(ledger: Ledger, family: str | None) -> str:
    """Return the name of the lane in which files of this family wait."""
    lanes = ledger.upload_lanes()
    return lanes[0] if len(lanes) == 1 else f"files:{family}"


def stored(view: JobView) -> Stored:
    """Return the description of a file's content that the ledger stores with the job.

    A job that is encrypted or damaged has an empty one: it must not hide the other files of its lane.
    """
    return Stored.model_validate(view.job["stored"]) if "stored" in view.job else _NOT_READ


def part_label(of: Stored) -> str:
    """Return the number of the part: `2/9`; empty for a file that was not split."""
    return f"{of.part}/{of.of}" if of.of > 1 else ""


def job_row(view: JobView, dues: DueTimes, *, show_data: bool = False) -> dict[str, Any]:
    """Return the JSON object of a job. Files have more keys: set, part and forecast start among them."""
    row = view.to_dict(show_data=show_data)
    if view.kind != "file" or "stored" not in view.job:
        return row
    content = stored(view)
    of_file = {"family": view.job["family"], **content_row(content), "bytes": content.size, "due": iso(dues.of(view))}
    return row | of_file


def content_row(content: Stored) -> dict[str, Any]:
    """Return the keys that describe a file's content in every JSON object of a file."""
    return {
        "set": content.set,
        "part": content.part,
        "of": content.of,
        "filename": content.name,
        "rows": content.rows,
    }


def forecast_starts(ledger: Ledger, name: str) -> tuple[Lane, dict[str, int | None]]:
    """Return a lane, and the forecast start (Unix ms; None if not known) of each file that waits in it, in order."""
    ids = list(dict.fromkeys(ledger.waiting_files(name)))
    lane = ledger.upload_lane(name)
    opens = lane.next_slot()
    taken = opens is not None and opens <= lane.now and _is_about_to_be_taken(ledger, name)
    lane = replace(lane, ahead=1 if taken else 0)
    return lane, dict(zip(ids, lane.starts(len(ids)), strict=True))


def _is_about_to_be_taken(ledger: Ledger, name: str) -> bool:
    """Return whether a worker has claimed a file of this lane and not sent it yet: it will take the open slot."""
    ids = islice(ledger.ids(JobState.SENDING), _MOST_SENDING)  # services plan uploads, and may not list contents
    views = [view for batch in _batches(ids) for view in ledger.read(batch)]
    return any(not _was_sent_before(view) for view in _of_lane(ledger, name, (JobState.SENDING,), views))


def _was_sent_before(view: JobView) -> bool:
    attempts = view.history.since_replay()
    return bool(attempts) and attempts[-1].verdict in {Verdict.DELIVERED, Verdict.LOST_ANSWER}


def _files(ledger: Ledger, name: str, states: Sequence[JobState]) -> list[JobView]:
    """Return the files of a lane in these states, in the order of the states."""
    views = [view for batch in _batches(ledger.files_in(states)) for view in ledger.read(batch)]
    return _of_lane(ledger, name, states, views)


def _of_lane(ledger: Ledger, name: str, states: Sequence[JobState], views: Iterable[JobView | None]) -> list[JobView]:
    found = [view for view in views if view is not None and view.state in states]
    found.sort(key=lambda view: (states.index(view.state), view.until or 0))
    return [view for view in found if view.kind == "file" and lane_of(ledger, view.job.get("family")) == name]


class DueTimes:
    """Forecast starts of waiting files. Each lane is read once, when it is first needed."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer
        self._lanes: dict[tuple[str, str], dict[str, int | None]] = {}

    def of(self, view: JobView) -> int | None:
        """Return when a file will start (Unix ms); None if it does not wait for a slot, or if that is not known."""
        if view.kind != "file" or view.state is not JobState.WAITING:
            return None
        ledger = self._producer.ledger(view.region)
        name = lane_of(ledger, view.job.get("family"))
        if (view.region, name) not in self._lanes:
            self._lanes[view.region, name] = forecast_starts(ledger, name)[1]
        return self._lanes[view.region, name].get(view.id)


@dataclass(frozen=True, slots=True)
class WaitingFile:
    """A file that waits for its slot. `first`: it was enqueued with --first, before all others."""

    view: JobView
    due: int | None
    first: bool


@dataclass(frozen=True, slots=True)
class LaneView:
    """One upload lane at one moment. `sent`: files that are being sent, being processed, or parked after an attempt."""

    region: str
    name: str
    lane: Lane
    hold: Hold | None = None
    waiting: list[WaitingFile] = field(default_factory=list)
    sent: list[JobView] = field(default_factory=list)

    @property
    def title(self) -> str:
        """Return the region, and the family if each family has its own lane."""
        return f"{self.region} {self.name.partition(':')[2]}".rstrip()

    @property
    def held_until(self) -> int | None:
        """Return when the hold ends or when its next probe is due (Unix ms); None if neither is set."""
        return (self.hold.until or self.hold.probe_at) if self.hold else None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of `gaugepost uploads --json`."""
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
    of_job = {"id": view.id, "family": view.job.get("family"), "source": view.job.get("source")}
    return of_job | content_row(stored(view))


def read_lane(ledger: Ledger, name: str) -> LaneView:
    """Read one lane."""
    lane, dues = forecast_starts(ledger, name)
    views = [view for batch in _batches(dues) for view in ledger.read(batch)]
    waiting = [view for view in views if view is not None and view.state is JobState.WAITING]
    early = set(islice(dues, ledger.upload_lane(name, first=True).ahead))
    return LaneView(
        region=ledger.region,
        name=name,
        lane=lane,
        hold=_hold_of(ledger),
        waiting=[WaitingFile(view, dues[view.id], view.id in early) for view in waiting],
        sent=_files(ledger, name, _SENT),
    )


def _batches(ids: Iterable[str]) -> Iterator[list[str]]:
    left = iter(ids)
    while batch := list(islice(left, _BATCH)):
        yield batch


def _hold_of(ledger: Ledger) -> Hold | None:
    """Return the hold that stops the files of a region; of several holds, the one that lasts longest."""
    found = ledger.holds()
    holds = [found[scope] for scope in scopes_of_kind(File) if scope in found]
    return max(holds, key=lambda hold: hold.until or hold.probe_at or float("inf"), default=None)


def sent_state(view: JobView) -> str:
    """Return what a sent file waits for: `checking`, `sending`, `processing`, or its state and reason."""
    if view.state is JobState.SENDING:
        return "checking" if _was_sent_before(view) else "sending"
    if view.reason == "processing" or (view.state is JobState.QUEUED and was_sent(view)):
        return "processing"
    return f"parked: {view.reason}" if view.state is JobState.PARKED else str(view.state)
