"""Wait until many jobs have ended: read them in batches, less often while none ends.

Each poll reads two batches of open jobs. One has the oldest, since jobs end about in their order. The other takes turns
through all of them, since some of the oldest may be parked for hours.
"""

from __future__ import annotations

import time
from collections import defaultdict
from itertools import islice
from typing import TYPE_CHECKING, Any

from gaugepost.redaction import redact
from gaugepost.states import JobState
from gaugepost_ops.cli.common import note, write_rows
from gaugepost_ops.cli.output.formatting import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gaugepost.client import Producer
    from gaugepost.ledger import JobView
    from gaugepost.regions import Region
    from gaugepost_ops.cli.jobs.enqueued_row import EnqueuedRow

_BATCH = 200
_SHORTEST_S, _LONGEST_S = 0.02, 0.5
_MAX_DEAD_SHOWN = 10


class _OpenJobs:
    """The open jobs of one region: id → its rows. A job has several rows if its idempotency key was used again."""

    def __init__(self) -> None:
        self.rows: dict[str, list[EnqueuedRow]] = defaultdict(list)
        self._rotation: Iterator[str] = iter(())

    def oldest(self) -> list[str]:
        """Return the ids of the oldest open jobs."""
        return list(islice(self.rows, _BATCH))

    def next_batch(self) -> list[str]:
        """Return the ids of the next batch of open jobs; after the last batch it starts again with the first."""
        if len(self.rows) <= _BATCH:
            return []
        batch = [job_id for job_id in islice(self._rotation, _BATCH) if job_id in self.rows]
        if not batch:
            self._rotation = iter(list(self.rows))
        return batch


class ResultPoll:
    """Polls jobs and prints the row of each when it has ended."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer
        self._open: dict[Region, _OpenJobs] = defaultdict(_OpenJobs)
        self._last: dict[str, JobState] = {}
        self._all_delivered = True
        self._dead = 0

    def add(self, rows: Sequence[EnqueuedRow]) -> None:
        """Add rows whose jobs it waits for."""
        for row in rows:
            self._open[row.region].rows[row.accepted.id].append(row)

    def run(self, on_ended: Callable[[int], None]) -> bool:
        """Wait until all jobs have ended. Call `on_ended` with their number. Return whether all were delivered."""
        pause = _SHORTEST_S
        while any(part.rows for part in self._open.values()):
            number = sum(self._poll_region(region, part) for region, part in self._open.items())
            on_ended(number)
            pause = _SHORTEST_S if number else min(pause * 1.5, _LONGEST_S)
            time.sleep(pause)
        return self._all_delivered

    def _poll_region(self, region: Region, jobs: _OpenJobs) -> int:
        """Read two batches of a region's open jobs, and print those that have ended. Return the number of rows."""
        number = 0
        for ids in (jobs.oldest(), jobs.next_batch()):
            views = self._producer.ledger(region).read(ids) if ids else []
            for job_id, view in zip(ids, views, strict=True):
                if view is None or view.has_ended:
                    self._last.pop(job_id, None)
                    number += self._print_ended(jobs.rows.pop(job_id, []), view)
                else:
                    self._note_unknown(view)
        return number

    def _print_ended(self, rows: Sequence[EnqueuedRow], view: JobView | None) -> int:
        self._all_delivered &= view is not None and view.state is JobState.DELIVERED
        write_rows(row.to_dict() | _outcome(view) for row in rows)
        if view is not None and view.state is JobState.DEAD:
            self._note_dead(rows, view)
        return len(rows)

    def _note_dead(self, rows: Sequence[EnqueuedRow], view: JobView) -> None:
        """Note on stderr why the first dead jobs are dead. Their rows say it too."""
        for row in rows:
            self._dead += 1
            if self._dead <= _MAX_DEAD_SHOWN:
                note(f"line {row.line}: {_dead_text(view)}")
        if self._dead > _MAX_DEAD_SHOWN >= self._dead - len(rows):
            note("more jobs are dead: see their rows, or call `gaugepost jobs --group`")

    def _note_unknown(self, view: JobView) -> None:
        """Note once that a job is unknown: it ends only when a person settles it."""
        before = self._last.get(view.id)
        if view.state is JobState.UNKNOWN and before is not JobState.UNKNOWN:
            note(f"job {view.id} is unknown ({view.reason}): see `gaugepost job {view.id}`, then settle it")
        self._last[view.id] = view.state

    def print_unfinished(self) -> None:
        """Print the rows of open jobs with their last known state, so that no id is lost."""
        rows = [row for part in self._open.values() for found in part.rows.values() for row in found]
        if not rows:
            return
        what = counted(len(rows), "job has", "jobs have")
        note(f"{what} not ended. They go on; see `gaugepost jobs` and `gaugepost job ID`")
        for row in sorted(rows, key=lambda row: row.line):
            write_rows([row.to_dict() | {"state": str(self._last.get(row.accepted.id, row.accepted.state))}])


def _why_dead(view: JobView) -> dict[str, Any]:
    """Return message and field errors of a dead job's last answer; empty for other jobs."""
    attempts = view.history.attempts()
    if view.state is not JobState.DEAD or not attempts:
        return {}
    return {"message": attempts[-1].message, "field_errors": dict(attempts[-1].field_errors)}


def _dead_text(view: JobView) -> str:
    """Return why a job is dead: `dead: missing_field: The Email field is required. (record.Email)`."""
    found = _why_dead(view)
    message, fields = found.get("message"), found.get("field_errors")
    parts = [str(view.state), view.last_verdict, message]
    return ": ".join(filter(None, parts)) + (f" ({', '.join(fields)})" if fields else "")


def _outcome(view: JobView | None) -> dict[str, Any]:
    if view is None:  # its retention has passed, or Redis lost it
        return {"state": None, "verdict": None, "result": None}
    outcome = {"state": str(view.state), "verdict": view.last_verdict, "result": redact(view.result)}
    outcome |= _why_dead(view)
    return outcome | ({"sealed": view.sealed} if view.sealed else {})
